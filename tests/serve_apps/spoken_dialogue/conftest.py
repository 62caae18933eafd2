"""The spoken dialogue app in this process: a scripted engine, the real voice, and the stock OpenAI client."""

import base64
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

import numpy as np
import openai
import pytest
from starlette.testclient import TestClient

from rapport.models.backends.tts import espeak
from rapport.models.emosds.answer import EMOTIONS, Answer, Piece
from rapport.models.emosds.dialogue import DialogueEngine, EngineFacts, Question, Reply
from rapport.serve_apps.spoken_dialogue.answers import ModelFacts
from rapport.serve_apps.spoken_dialogue.api import build_api
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from rapport.serve_apps.spoken_dialogue.voices import Speaker, SpeechOrder

HEARD, SAID = "I missed the last bus.", "That is rough, shall I look for a night train?"


class ScriptedEngine:
    """A `DialogueEngine` that always hears and says the same, and remembers what it was asked."""

    def __init__(self, *, replies: bool = True) -> None:
        self.facts = EngineFacts(EMOTIONS, replies, "scripted", 3)
        self.asked: list[Question] = []

    def reply(self, questions: Sequence[Question]) -> list[Reply]:
        items = [item for step in self.stream(questions) for _, item in step]
        return [item for item in items if isinstance(item, Reply)]

    def stream(
        self, questions: Sequence[Question], gone: Callable[[int], bool] | None = None
    ) -> Iterator[list[tuple[int, Piece | Reply | Exception]]]:
        for number, question in enumerate(questions):
            self.asked.append(question)
            yield [(number, Piece("user_emotion", "sad"))]
            for word in HEARD.split(" "):
                yield [(number, Piece("transcript", f"{word} "))]
            if question.replies:
                yield [(number, Piece("reply_emotion", "neutral")), (number, Piece("reply", "That is rough,"))]
                yield [(number, Piece("reply", SAID.removeprefix("That is rough,")))]
            answer = Answer("sad", HEARD, *(("neutral", SAID) if question.replies else ()))
            yield [(number, Reply(answer, question.generation.max_new_tokens > 20, 120, 24))]


class InProcess:
    """A `DialogueService` without Serve."""

    def __init__(self, engine: DialogueEngine) -> None:
        self.engine = engine
        self.speaker = Speaker(espeak.load())
        self.spoken: list[SpeechOrder] = []

    async def reply(self, question: Question) -> Reply:
        return self.engine.reply([question])[0]

    async def stream(self, question: Question) -> AsyncGenerator[Piece | Reply]:
        for step in self.engine.stream([question]):
            for _, item in step:
                if isinstance(item, Exception):
                    raise item
                yield item

    async def speak(self, order: SpeechOrder) -> bytes:
        self.spoken.append(order)
        return self.speaker.speak(order)

    async def transcribe(self, samples: np.ndarray) -> str:
        return "kids are talking by the door"

    async def facts(self) -> ModelFacts:
        return ModelFacts(self.engine.facts, 1_700_000_000)

    async def voices(self) -> list[str]:
        return list(self.speaker.names)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def service(engine: ScriptedEngine) -> InProcess:
    return InProcess(engine)


@pytest.fixture
def client_of() -> Callable[..., TestClient]:
    def make(service: object, settings: DialogueSettings | None = None, **options: object) -> TestClient:
        return TestClient(build_api(service, settings or DialogueSettings(), **options), base_url="http://127.0.0.1")  # type: ignore[arg-type]

    return make


@pytest.fixture
def client(service: InProcess, client_of: Callable[..., TestClient]) -> TestClient:
    return client_of(service, transcribes=True)


@pytest.fixture
def stock(client: TestClient) -> openai.OpenAI:
    """The stock client, talking to the app in this process."""
    return openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=client, max_retries=0)


@pytest.fixture
def spoken(voice: Callable[..., np.ndarray], wav: Callable[..., bytes]) -> Callable[..., dict[str, object]]:
    """A user message that holds a recording."""

    def make(seconds: float = 1.0, data: bytes | None = None) -> dict[str, object]:
        encoded = base64.b64encode(wav(voice(seconds)) if data is None else data).decode()
        return {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}]}

    return make
