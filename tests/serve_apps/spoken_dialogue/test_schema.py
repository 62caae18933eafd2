"""The interface does what its OpenAPI document says, also with input that nobody thought of."""

import hashlib

import hypothesis
import schemathesis
from schemathesis.checks import positive_data_acceptance

from rapport.serve_apps.spoken_dialogue.answers import ChatAnswer
from rapport.serve_apps.spoken_dialogue.api import build_api
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from tests.serve_apps.spoken_dialogue.conftest import InProcess, ScriptedEngine

KEY = "opensesame"
API = build_api(InProcess(ScriptedEngine()), DialogueSettings(), key_digest=hashlib.sha256(KEY.encode()).hexdigest(), transcribes=True)
schema = schemathesis.openapi.from_asgi("/openapi.json", API)


@schema.parametrize()
@hypothesis.settings(max_examples=15, suppress_health_check=list(hypothesis.HealthCheck))
def test_the_interface_keeps_its_word(case: schemathesis.Case) -> None:
    # Bytes made up by a generator are no audio, and are rightly refused.
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=[positive_data_acceptance])


def test_the_documented_example_is_an_answer() -> None:
    (example,) = ChatAnswer.model_json_schema()["examples"]
    answer = ChatAnswer.model_validate(example)
    assert answer.choices[0].message.x_emotion == answer.x_emotion.reply
