"""The interface does what its OpenAPI document says, also with input that nobody thought of."""

import hashlib
from collections.abc import AsyncGenerator

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import positive_data_acceptance

from rapport.serve_apps.conversation_emotion.answers import (
    AdapterFacts,
    Done,
    EmotionsAnswer,
    Item,
    Judged,
    ModelFacts,
    NoService,
    Piece,
    Question,
    Reasons,
)
from rapport.serve_apps.conversation_emotion.api import build_api
from rapport.serve_apps.conversation_emotion.requests import EmotionsRequest
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings

KEY = "opensesame"
FACTS = AdapterFacts(("sad", "joyful"), "own", 0)


class Quick(NoService):
    """Answers at once: the model is not what is tested here."""

    async def answer(self, question: Question) -> list[Judged | Reasons]:
        return [item async for item in self.stream(question) if isinstance(item, Judged | Reasons)]

    async def stream(self, question: Question) -> AsyncGenerator[Item]:
        for number, dialogue in enumerate(question.dialogues):
            for turn in dialogue.turns:
                yield Judged(number, turn, {"sad": 0.3, "joyful": 0.7}, 10)
                if question.rationale:
                    yield Piece(number, turn, "So it is. <joyful>")
                    yield Reasons(number, turn, "So it is.", "joyful", 12, 5)
        yield Done()

    async def facts(self) -> ModelFacts:
        return ModelFacts(FACTS, {"one": FACTS})


API = build_api(Quick(), ConversationSettings(), key_digest=hashlib.sha256(KEY.encode()).hexdigest())
schema = schemathesis.openapi.from_asgi("/openapi.json", API)


@schema.parametrize()
@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
def test_the_interface_keeps_its_word(case: schemathesis.Case) -> None:
    # Names of models made up by a generator are rightly not found, and turns that are not there not judged.
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=[positive_data_acceptance])


@pytest.mark.parametrize("path", ["/v1/dialogues/emotions", "/v1/models"])
def test_the_document_tells_of_the_key(path: str) -> None:
    assert all(operation["security"] for operation in API.openapi()["paths"][path].values())
    assert "security" not in API.openapi()["paths"]["/healthz"]["get"]


def test_the_documented_examples_are_a_request_and_an_answer() -> None:
    (example,) = EmotionsAnswer.model_json_schema()["examples"]
    for turn in EmotionsAnswer.model_validate(example).data[0].turns:
        assert sum(turn.scores.values()) == pytest.approx(1)
        assert turn.emotion == max(turn.scores, key=turn.scores.__getitem__)
    (example,) = EmotionsRequest.model_json_schema()["examples"]
    assert EmotionsRequest.model_validate(example).dialogues
