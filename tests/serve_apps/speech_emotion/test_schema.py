"""The interface does what its OpenAPI document says, also with input that nobody thought of."""

import hashlib

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import positive_data_acceptance

from rapport.core.audio import AudioLimits
from rapport.serve_apps.speech_emotion.answers import Analysis, ModelFacts, WindowScores
from rapport.serve_apps.speech_emotion.api import build_api
from rapport.serve_apps.speech_emotion.settings import EmotionSettings

SCORES = {"happy": 0.7, "sad": 0.3}
KEY = "opensesame"


class Quick:
    """Answers at once: the model is not what is tested here."""

    async def analyse(self, samples, window_s, hop_s) -> Analysis:
        return Analysis(SCORES, [WindowScores(0, 1, SCORES)] if hop_s else [])

    async def transcribe(self, samples) -> str:
        return "hello"

    async def facts(self) -> ModelFacts:
        return ModelFacts(("happy", "sad"), 1.5, 0)


API = build_api(
    Quick(), EmotionSettings(audio=AudioLimits(min_duration_s=0)), key_digest=hashlib.sha256(KEY.encode()).hexdigest(), transcribes=True
)
schema = schemathesis.openapi.from_asgi("/openapi.json", API)


@schema.parametrize()
@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
def test_the_interface_keeps_its_word(case: schemathesis.Case) -> None:
    # Bytes made up by a generator are no audio, and are rightly refused.
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=[positive_data_acceptance])


def test_the_document_describes_every_route() -> None:
    document = API.openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            assert operation["responses"]["default"]["content"]["application/json"]["schema"], (path, method)
            assert "422" not in operation["responses"], "a wrong field is a 400 with an error object"


@pytest.mark.parametrize("path", ["/v1/audio/emotions", "/v1/models", "/inference", "/analyze"])
def test_the_document_tells_of_the_key(path: str) -> None:
    assert all(operation["security"] for operation in API.openapi()["paths"][path].values())
    assert "security" not in API.openapi()["paths"]["/healthz"]["get"]


def test_the_documented_example_is_an_answer() -> None:
    from rapport.serve_apps.speech_emotion.answers import EmotionAnswer

    (example,) = EmotionAnswer.model_json_schema()["examples"]
    answer = EmotionAnswer.model_validate(example)
    assert sum(answer.scores.values()) == pytest.approx(1)
    assert answer.emotion == max(answer.scores, key=answer.scores.__getitem__)
