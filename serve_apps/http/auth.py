"""Who may call: a bearer key when `RAPPORT_API_KEY` is set, otherwise this computer alone.

The key itself never leaves the environment of the process that builds the app: replicas compare SHA-256 digests.
"""

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from rapport.core.errors import RapportError
from rapport.serve_apps.http.errors import ApiError, error_response

API_KEY_VARIABLE = "RAPPORT_API_KEY"

# A browser cannot set headers on a WebSocket; the OpenAI clients send the key as this subprotocol instead.
_SUBPROTOCOL = "openai-insecure-api-key."


def key_digest() -> str | None:
    """SHA-256 (hex) of `RAPPORT_API_KEY`, or None when no key is set."""
    key = os.environ.get(API_KEY_VARIABLE, "")
    return hashlib.sha256(key.encode()).hexdigest() if key else None


def is_loopback(host: str) -> bool:
    """Whether an address or host name can only be reached from this computer."""
    if host.lower() in ("localhost", "localhost."):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]").split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def check_bind(host: str) -> None:
    """Nothing, if the server may listen on `host`.

    Raises RapportError when others could reach it and no key is set.
    """
    if not is_loopback(host) and key_digest() is None:
        raise RapportError(
            f"--host {host} can be reached from other computers and no key is set: set {API_KEY_VARIABLE}, or use --host 127.0.0.1"
        )


class RequireKey:
    """Lets a request through that carries the key (`Authorization: Bearer ...`), for HTTP and WebSocket alike.

    Without a key in force, lets through what arrived on a loopback address and refuses the rest, however the server was bound.
    `open_paths` need no key: pages that ask for it, and the health check.
    """

    def __init__(self, app: ASGIApp, digest: str | None, open_paths: Iterable[str] = ()) -> None:
        self.app = app
        self.digest = digest
        self.open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket" and "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:120]})
        else:  # of a WebSocket too: it is not opened, and the client is told why
            await error_response(refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        if self.digest is None:
            address = (scope.get("server") or ("", None))[0]
            if is_loopback(address):
                return None
            return ApiError(403, f"this server has no key and answers on this computer alone: set {API_KEY_VARIABLE} where it is deployed")
        if scope["path"].removeprefix(scope.get("root_path", "")) in self.open_paths:
            return None
        given = _given_key(scope)
        if given is None:
            message = "no key: send `Authorization: Bearer <key>`"
        elif hmac.compare_digest(hashlib.sha256(given.encode()).hexdigest(), self.digest):
            return None
        else:
            message = "wrong key"
        return ApiError(401, message, headers={"WWW-Authenticate": "Bearer"})


def _given_key(scope: Scope) -> str | None:
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    subprotocols = scope.get("subprotocols", ()) if scope["type"] == "websocket" else ()
    return next((s.removeprefix(_SUBPROTOCOL) for s in subprotocols if s.startswith(_SUBPROTOCOL)), None)
