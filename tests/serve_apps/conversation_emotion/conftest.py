"""The app for emotions in conversations in this process, with a real, tiny model behind it and adapters on disk."""

import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from rapport.core.errors import RapportError
from rapport.models.erc.model_config import EngineConfig, ScoringConfig
from rapport.serve_apps.conversation_emotion.answers import Done, Item, Judged, ModelFacts, Question, Reasons
from rapport.serve_apps.conversation_emotion.api import build_api
from rapport.serve_apps.conversation_emotion.engine import ConversationEngine
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from tests.serve_apps.conversation_emotion.tiny_models import write_models

TOKENS = 10
TALK = [
    {"speaker": "Nora", "text": "The van leaves in ten minutes."},
    {"speaker": "Eli", "text": "I only packed the kettle."},
    {"speaker": "Nora", "text": "Then you are carrying the sofa alone."},
]
PERSONAS = {"Nora": "an impatient line cook.", "Eli": "her easy-going brother."}
DIALOGUE = {"dialogue_id": "moving", "turns": TALK, "personas": PERSONAS, "scene": "a flat on moving day."}


class InProcess:
    """A `ConversationService` without Serve: one engine, one request at a time."""

    def __init__(self, engine: ConversationEngine) -> None:
        self.engine = engine

    async def answer(self, question: Question) -> list[Judged | Reasons]:
        return [item async for item in self.stream(question) if isinstance(item, Judged | Reasons)]

    async def stream(self, question: Question) -> AsyncGenerator[Item]:
        variant = self.engine.read(question.adapter) if question.adapter else self.engine.variant
        lines = self.engine.lines(question, variant)
        for item in self.engine.judge(lines):
            if isinstance(item, RapportError):
                raise item
            yield item
        for step in self.engine.reasons(lines, lambda _: False, TOKENS) if question.rationale else ():
            for _, told in step:
                if isinstance(told, RapportError):
                    raise told
                yield told
        yield Done()

    async def facts(self) -> ModelFacts:
        return ModelFacts(self.engine.facts, self.engine.adapters)


def open_model(folder: Path) -> ConversationEngine:
    where = {"adapters": str(folder / "adapters")}
    return ConversationEngine(str(folder / "model"), **where, engine=EngineConfig(device="cpu"), scoring=ScoringConfig())


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in `model`, and in `adapters` those of `tiny_models.write_models`."""
    return write_models(tmp_path_factory.mktemp("erc"))


@pytest.fixture(scope="session")
def told() -> list[str]:
    """What was logged while the engine was opened."""
    return []


@pytest.fixture(scope="session")
def engine(models: Path, told: list[str]) -> ConversationEngine:
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("ray.serve")
    log.addHandler(handler)
    try:
        return open_model(models)
    finally:
        log.removeHandler(handler)


@pytest.fixture(scope="session")
def service(engine: ConversationEngine) -> InProcess:
    return InProcess(engine)


@pytest.fixture(scope="session")
def client_of() -> Callable[..., TestClient]:
    def make(service: object, settings: ConversationSettings | None = None, **options: object) -> TestClient:
        return TestClient(build_api(service, settings or ConversationSettings(), **options), base_url="http://127.0.0.1")  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def client(service: InProcess, client_of: Callable[..., TestClient]) -> TestClient:
    return client_of(service)
