"""Server-sent events as OpenAI sends them: a JSON object each, then `[DONE]`."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import StreamingResponse

from rapport.serve_apps.http.errors import ApiError, error_object

logger = logging.getLogger("ray.serve")


async def event_stream(events: AsyncIterator[Mapping[str, Any]]) -> StreamingResponse:
    """The response that sends the events as they come.

    The first one is waited for here, so that an error before it is an answer with a status of its own. A later one is sent as an event
    with the error object, which the OpenAI clients raise.
    """
    first = await anext(events, None)

    async def lines() -> AsyncIterator[str]:
        try:
            if first is not None:
                yield _line(first)
                async for event in events:
                    yield _line(event)
        except Exception as error:
            if not isinstance(error, ApiError):
                logger.exception("unforeseen error in a stream")
                error = ApiError(500, "an error of the server, not of your request")
            yield _line(error_object(error))
        yield "data: [DONE]\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})


def _line(event: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n"
