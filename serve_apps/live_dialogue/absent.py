"""A part that is not there, which says so whenever it is asked."""

from typing import Any

from rapport.serve_apps.http.errors import ApiError


class Absent:
    """Stands where the handle of a deployment would: every call raises ApiError (404) with what is missing, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        self._message = f"this server has no {what}: {remedy}"

    def options(self, **_: Any) -> "Absent":
        """Itself."""
        return self

    def __getattr__(self, method: str) -> "Absent":
        if method.startswith("_"):
            raise AttributeError(method)
        return self

    def remote(self, *_: Any, **__: Any) -> Any:
        """Raises ApiError (404)."""
        raise ApiError(404, self._message, code="model_not_found", param="model")
