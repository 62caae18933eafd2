"""The interface does what its OpenAPI document says, also with input that nobody thought of."""

import hashlib

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import positive_data_acceptance

from rapport.serve_apps.companion import Args, interface
from rapport.serve_apps.live_dialogue.api import REALTIME, build_api
from rapport.serve_apps.live_dialogue.deployments import deployed
from rapport.serve_apps.live_dialogue.settings import LiveSettings

KEY = "opensesame"
NOBODY = deployed(dict.fromkeys(("emotion", "dialogue", "voice", "transcriber", "head_motion", "conversations")))
API = build_api(NOBODY, LiveSettings(), key_digest=hashlib.sha256(KEY.encode()).hexdigest())
schema = schemathesis.openapi.from_asgi("/openapi.json", API)


@schema.parametrize()
@hypothesis.settings(max_examples=10, suppress_health_check=list(hypothesis.HealthCheck))
def test_the_interface_keeps_its_word(case: schemathesis.Case) -> None:
    # Nobody is there: what is well asked is refused by name, and all else as ever.
    case.call_and_validate(headers={"Authorization": f"Bearer {KEY}"}, excluded_checks=[positive_data_acceptance])


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/emotions", "/v1/audio/head-motion", REALTIME, "/v1/models"])
def test_the_document_tells_of_the_key(path: str) -> None:
    assert all(operation["security"] for operation in API.openapi()["paths"][path].values())
    assert "security" not in API.openapi()["paths"]["/healthz"]["get"]


def test_the_document_has_the_endpoints_of_every_app() -> None:
    from rapport.serve_apps import erc, head_motion, sds, ser

    ours = set(interface(Args()).openapi()["paths"])
    for app in (ser, sds, head_motion, erc):
        theirs = set(app.interface(app.Args()).openapi()["paths"])
        assert theirs - ours <= {"/v1/audio/head-motion/stream"}
