"""What a server bears: the size of a body, the time an upload takes, and how many requests are worked on at once."""

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rapport.serve_apps.http.errors import ApiError, busy, error_response


class LimitBody:
    """Answers 413 to a body that is too large and 408 to one that is too slow.

    A declared length is judged before a byte is read; a body without one (chunked) is counted as it comes, and given up at the byte
    that is too many. No more than the limit is ever handed to the app.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self.max_bytes:
            await error_response(self._too_large(f"{int(declared[:20]):,} bytes"))(scope, receive, send)
            return
        body = _CountedBody(receive, self)
        try:
            await self.app(scope, body.receive, body.watch(send))
        except (_BodyRefused, ExceptionGroup):
            if body.refusal is None or body.answered:
                raise
        # A form parser may have wrapped our refusal in an error of its own and answered that: `watch` holds such an answer back.
        if body.refusal is not None and not body.answered:
            await error_response(body.refusal)(scope, receive, send)

    def _too_large(self, seen: str) -> ApiError:
        return ApiError(413, f"the body has {seen}, the limit is {self.max_bytes:,} (max_upload_mib)")

    def too_large(self) -> ApiError:
        """The refusal of a body whose length was not declared."""
        return self._too_large("more bytes than may be read")

    def too_slow(self) -> ApiError:
        """The refusal of a body that does not arrive."""
        return ApiError(408, f"the body did not arrive within {self.timeout_s:g} s (upload_timeout_s)", headers={"Connection": "close"})


class _BodyRefused(Exception):
    pass


class _CountedBody:
    """The `receive` and `send` of one request, with its body counted."""

    def __init__(self, receive: Receive, limit: LimitBody) -> None:
        self._receive = receive
        self._limit = limit
        self._seen = 0
        self._deadline = time.monotonic() + limit.timeout_s
        self._complete = False
        self.refusal: ApiError | None = None
        self.answered = False

    async def receive(self) -> Message:
        if self._complete:  # what comes now is at most the news that the client has gone
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._deadline - time.monotonic()))
        except TimeoutError:
            self.refusal = self._limit.too_slow()
            raise _BodyRefused from None
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
            if self._seen > self._limit.max_bytes:
                self.refusal = self._limit.too_large()
                raise _BodyRefused
        return message

    def watch(self, send: Send) -> Send:
        async def watched(message: Message) -> None:
            if self.refusal is not None and not self.answered:
                return
            self.answered = True
            await send(message)

        return watched


class LimitConcurrency:
    """Answers 429 with `Retry-After` to a request for work when as many are under way as the app will queue.

    A place is taken before the body is read, so that a crowd of uploads holds no more memory than `max_requests` bodies. Reading (GET,
    HEAD, OPTIONS) takes no place: health checks get through to a busy server.
    """

    def __init__(self, app: ASGIApp, max_requests: int, retry_after_s: float = 1.0) -> None:
        self.app = app
        self.max_requests = max_requests
        self.retry_after_s = retry_after_s
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        if self.under_way >= self.max_requests:
            refusal = busy(f"{self.under_way} requests are under way, the limit is {self.max_requests} (max_pending)", self.retry_after_s)
            await error_response(refusal)(scope, receive, send)
            return
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1
