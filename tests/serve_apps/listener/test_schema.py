"""The interface does what its OpenAPI document says, also with input that nobody thought of."""

import hashlib

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import positive_data_acceptance

from rapport.core.audio import AudioLimits
from rapport.core.pose import PoseFrame
from rapport.serve_apps.listener.answers import ModelFacts, MotionAnswer, NoService
from rapport.serve_apps.listener.api import build_api
from rapport.serve_apps.listener.settings import MotionSettings

KEY = "opensesame"


class Quick(NoService):
    """Answers at once: the model is not what is tested here."""

    async def motion(self, samples, rate_hz, seed) -> list[PoseFrame]:
        return [PoseFrame(1 / 30, 1.0, 2.0, 3.0)]

    async def facts(self) -> ModelFacts:
        return ModelFacts(30, True, True, 0.05, 0)


API = build_api(Quick(), MotionSettings(audio=AudioLimits(min_duration_s=0)), key_digest=hashlib.sha256(KEY.encode()).hexdigest())
schema = schemathesis.openapi.from_asgi("/openapi.json", API)


@schema.parametrize()
@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
def test_the_interface_keeps_its_word(case: schemathesis.Case) -> None:
    # Bytes made up by a generator are no audio, and are rightly refused.
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=[positive_data_acceptance])


@pytest.mark.parametrize("path", ["/v1/audio/head-motion", "/v1/audio/head-motion/stream", "/v1/models"])
def test_the_document_tells_of_the_key(path: str) -> None:
    assert all(operation["security"] for operation in API.openapi()["paths"][path].values())
    assert "security" not in API.openapi()["paths"]["/healthz"]["get"]


def test_the_documented_example_is_an_answer() -> None:
    (example,) = MotionAnswer.model_json_schema()["examples"]
    assert MotionAnswer.model_validate(example).frames[0].pitch == 2.18
