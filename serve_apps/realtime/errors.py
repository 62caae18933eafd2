"""What a client did wrong, told as an `error` event after which the session goes on."""

import re
from collections.abc import Sequence

from pydantic import ValidationError

_KINDS = ("int", "str", "dict", "list", "none")


class ProtocolError(Exception):
    """Raise it anywhere below `RealtimeSession.receive`: the client is told, and nothing else happens."""

    def __init__(self, message: str, *, code: str = "invalid_value", param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.event_id = event_id
        """Of the client's own event that is at fault."""


def refusal(error: ValidationError, *, within: Sequence[str] = (), event_id: str | None = None) -> ProtocolError:
    """The first field at fault, in words; what was sent is not repeated, since it may be a whole recording.

    `within` is where the checked value lies in the event.
    """
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # A union tells which of its members was tried, such as `constrained-int`; the client knows its fields alone.
    path = [str(part) for part in problem["loc"] if re.fullmatch(r"[a-z_]+|\d+", str(part)) and part not in _KINDS]
    param = ".".join([*within, *path])[:200] or None
    told = str(problem["msg"]).removeprefix("Value error, ")
    return ProtocolError(f"{param}: {told}" if param else told, param=param, event_id=event_id)
