"""What the app for simulator services tells over HTTP."""

import hashlib

from fastapi.testclient import TestClient

from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.simulator.answers import ServiceFacts
from rapport.serve_apps.simulator.api import build_api

HERE = "http://127.0.0.1"
CALLS = {"asked": 4.0, "memory": 3.0, "disk": 0.0, "answered": 1.0, "hit_rate": 0.75}


async def judge() -> ServiceFacts:
    return ServiceFacts("rule 1", True, ("seed",), "words", 5, CALLS)


async def deaf() -> ServiceFacts:
    raise RuntimeError("the replica is gone")


def test_every_service_is_a_model_with_its_calls() -> None:
    client = TestClient(build_api({"judge": judge}, RequestLimits()), base_url=HERE)
    (card,) = client.get("/v1/models").json()["data"]
    assert card == {
        "id": "judge",
        "object": "model",
        "created": 5,
        "owned_by": "rapport",
        "version": "rule 1",
        "deterministic": True,
        "calls": CALLS,
    }
    assert client.get("/v1/models/judge").json() == card
    assert client.get("/v1/models/jury").status_code == 404
    assert client.get("/healthz").json()["status"] == "ok"


def test_a_service_that_does_not_answer_makes_it_unhealthy() -> None:
    client = TestClient(build_api({"judge": judge, "ears": deaf}, RequestLimits()), base_url=HERE, raise_server_exceptions=False)
    assert client.get("/healthz").status_code == 503
    assert "Traceback" not in client.get("/v1/models").text


def test_a_key_guards_what_is_told_and_not_whether_it_is_well() -> None:
    api = build_api({"judge": judge}, RequestLimits(), key_digest=hashlib.sha256(b"opensesame").hexdigest())
    client = TestClient(api, base_url=HERE)
    assert client.get("/v1/models").status_code == 401
    assert client.get("/v1/models", headers={"Authorization": "Bearer opensesame"}).status_code == 200
    assert client.get("/healthz").status_code == client.get("/").status_code == 200
