"""Every error of every endpoint as the OpenAI error object, and never a stack trace.

    {"error": {"message": "...", "type": "invalid_request_error", "param": "file", "code": "audio_too_long"}}

An endpoint raises `ApiError`; `install(app)` turns that, and what FastAPI and Starlette raise, into the object. `CatchUnforeseen`, the
outermost middleware (`guard.protect` sets it), does so for everything else.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("ray.serve")

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    429: "server_busy",
    500: "internal_error",
    503: "unavailable",
}
_LONGEST_ECHO = 200


class ErrorDetail(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    message: str
    """The value seen, the value wanted, and where there is one the setting to change."""
    type: str
    """The family of the error, such as `invalid_request_error` or `rate_limit_error`."""
    param: str | None = None
    """The field of the request at fault."""
    code: str | None = None
    """A stable code for programs, such as `audio_too_long`."""


class ErrorBody(BaseModel):
    """The body of every answer whose status is 400 or above."""

    error: ErrorDetail = Field(
        examples=[
            {
                "message": "lasts 600.00 s or more, limits.max_duration_s is 300",
                "type": "invalid_request_error",
                "param": "file",
                "code": "audio_too_long",
            }
        ]
    )


class ApiError(Exception):
    """An answer that is an error: raise it anywhere below an endpoint."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or _CODES.get(status)
        self.param = param
        self.headers = dict(headers or {})


def busy(message: str, retry_after_s: float = 1.0) -> ApiError:
    """429 with `Retry-After`, for a full queue."""
    return ApiError(429, message, headers={"Retry-After": str(max(1, round(retry_after_s)))})


def error_object(error: ApiError) -> dict[str, Any]:
    """The error as OpenAI writes it."""
    kind = _TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    return ErrorBody(error=ErrorDetail(message=error.message, type=kind, param=error.param, code=error.code)).model_dump()


def error_response(error: ApiError) -> Response:
    """The error object as a response."""
    return JSONResponse(error_object(error), status_code=error.status, headers=error.headers)


def install(app: FastAPI) -> None:
    """Make the errors that the endpoints and the framework of this app raise error objects."""
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


class CatchUnforeseen:
    """Turns an exception that nothing else handled into a bare 500; the log gets the trace, the client does not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            if started:  # half an answer is out: only a cut connection can tell the client now
                raise
            if not isinstance(error, ApiError):
                logger.exception("unforeseen error in %s %s", scope["method"], scope["path"])
                request_id = Headers(scope=scope).get("x-request-id")
                error = ApiError(500, "an error of the server, not of your request" + (f"; request {request_id}" if request_id else ""))
            await error_response(error)(scope, receive, send)


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404:
        message = f"there is no {request.url.path[:_LONGEST_ECHO]} here; GET /docs lists what there is"
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow") or (error.headers or {}).get("allow") or "another method"
        message = f"{request.url.path[:_LONGEST_ECHO]} answers {allowed}, not {request.method[:20]}"
    return error_response(ApiError(error.status_code, message, headers=error.headers))


async def _on_validation_error(request: Request, error: Exception) -> Response:
    """400 for the first field at fault; pydantic's echo of the input is left out, since it may be a whole upload."""
    assert isinstance(error, RequestValidationError)
    problems: Sequence[Mapping[str, Any]] = error.errors()
    described = [(".".join(str(part) for part in problem["loc"][1:]) or "body", str(problem["msg"])) for problem in problems]
    param, _ = described[0]
    message = "; ".join(f"{field}: {text}" for field, text in described[:5])
    if any(problem["type"] == "missing" or len(problem["loc"]) < 2 for problem in problems):
        # A form is read as no JSON and the other way round: then every field is missing, and this is why.
        content_type = request.headers.get("content-type", "none").partition(";")[0][:_LONGEST_ECHO]
        wanted = _body_type(request)
        message += f" (the body is {content_type}, wanted {wanted})" if wanted and content_type != wanted else ""
    return error_response(ApiError(400, message, param=param))


def _body_type(request: Request) -> str | None:
    """What kind of body the endpoint reads, as its part of the OpenAPI document says."""
    app: FastAPI = request.app
    path = getattr(request.scope.get("route"), "path", "")
    body = app.openapi()["paths"].get(path, {}).get(request.method.lower(), {}).get("requestBody", {})
    return next(iter(body.get("content", {})), None)
