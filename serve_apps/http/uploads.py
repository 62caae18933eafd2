"""An uploaded file as speech, decoded off the event loop and within limits."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor

from fastapi import UploadFile

from rapport.core.audio import AudioError, AudioLimits, Speech, load_speech
from rapport.serve_apps.http.errors import ApiError


class SpeechDecoder:
    """Decodes uploads on threads of its own, so that neither the event loop nor other uploads wait for a long one."""

    def __init__(self, limits: AudioLimits, threads: int = 2, timeout_s: float = 10.0) -> None:
        self.limits = limits
        self.timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    async def read(self, upload: UploadFile, param: str = "file") -> Speech:
        """The speech in the upload, 16 kHz mono.

        Raises ApiError (400) with code `audio_<reason>` for what is no usable speech, (503) when decoding takes too long.
        """
        return await self.decode(await upload.read(), param)

    async def read_base64(self, text: str, param: str) -> Speech:
        """The speech in a file that came as base64, also as a `data:` URL. Raises ApiError as `read` does."""
        try:
            data = base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
        except ValueError as error:
            raise ApiError(400, f"not base64: {error}", code="audio_not_base64", param=param) from error
        return await self.decode(data, param)

    async def decode(self, data: bytes, param: str) -> Speech:
        """The speech in the bytes of a file. Raises ApiError as `read` does."""
        decoding = asyncio.get_running_loop().run_in_executor(self._threads, load_speech, data, self.limits)
        try:
            return await asyncio.wait_for(decoding, self.timeout_s)
        except AudioError as error:
            raise ApiError(400, str(error), code=f"audio_{error.reason}", param=param) from error
        except TimeoutError as error:
            raise ApiError(503, f"decoding took more than {self.timeout_s:g} s", headers={"Retry-After": "1"}) from error
