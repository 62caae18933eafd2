"""Who is let in."""

import asyncio

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rapport.core.errors import RapportError
from rapport.serve_apps.http.auth import RequireKey, check_bind, is_loopback, key_digest


def client_of(digest: str | None, server: str = "127.0.0.1") -> TestClient:
    app = FastAPI()
    app.get("/")(lambda: "page")
    app.get("/v1/secret")(lambda: "secret")
    app.add_middleware(RequireKey, digest=digest, open_paths={"/"})
    return TestClient(app, base_url=f"http://{server}")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_loopback_addresses_are_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "192.168.1.5", "example.com", "", "127.0.0.1.example.com", "::ffff:10.0.0.1"]
)
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_binding_to_the_world_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAPPORT_API_KEY", raising=False)
    check_bind("127.0.0.1")
    with pytest.raises(RapportError, match="RAPPORT_API_KEY"):
        check_bind("0.0.0.0")
    monkeypatch.setenv("RAPPORT_API_KEY", "opensesame")
    check_bind("0.0.0.0")


def test_without_a_key_only_this_computer_is_answered() -> None:
    assert client_of(None).get("/v1/secret").status_code == 200
    refused = client_of(None, "10.1.2.3").get("/v1/secret")
    assert refused.status_code == 403
    assert "RAPPORT_API_KEY" in refused.json()["error"]["message"]


def test_a_key_is_asked_for_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_API_KEY", "opensesame")
    client = client_of(key_digest(), "10.1.2.3")
    missing, wrong, right = (
        client.get("/v1/secret", headers=headers)
        for headers in ({}, {"Authorization": "Bearer sesame"}, {"Authorization": "Bearer opensesame"})
    )
    assert (missing.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
    assert missing.headers["www-authenticate"] == "Bearer"
    assert wrong.json()["error"] == {"message": "wrong key", "type": "authentication_error", "param": None, "code": "invalid_api_key"}


def test_open_paths_need_no_key() -> None:
    client = client_of("0" * 64)
    assert client.get("/").status_code == 200
    assert client.get("/v1/secret").status_code == 401


@pytest.mark.parametrize(("subprotocols", "closed"), [([], True), (["realtime", "openai-insecure-api-key.opensesame"], False)])
def test_a_websocket_may_send_the_key_as_subprotocol(monkeypatch: pytest.MonkeyPatch, subprotocols: list[str], closed: bool) -> None:
    monkeypatch.setenv("RAPPORT_API_KEY", "opensesame")
    sent: list[str] = []

    async def app(scope, receive, send) -> None:
        await send({"type": "websocket.accept"})

    async def send(message) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "subprotocols": subprotocols, "server": ("10.1.2.3", 80)}
    asyncio.run(RequireKey(app, key_digest())(scope, None, send))  # type: ignore[arg-type]
    assert sent == (["websocket.close"] if closed else ["websocket.accept"])
