"""Where a WebSocket was opened: browsers let any page open one to any server, and name the address of the page."""

from urllib.parse import urlsplit

from starlette.websockets import WebSocket


def is_foreign(socket: WebSocket) -> bool:
    """Whether a page of another site opened this connection."""
    origin = socket.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != socket.headers.get("host")
