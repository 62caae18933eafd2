"""The sound of a user that is no message yet: bounded, and with the time at which each stretch came. Places are samples at 24 kHz."""

import base64
import binascii
from collections import deque

from rapport.serve_apps.realtime.errors import ProtocolError
from rapport.serve_apps.realtime.session_config import RATE_HZ

BYTES = 2
"""Of a sample."""

_ARRIVALS = 1024


class InputAudio:
    """What was heard since some sample. Never longer than `max_s`."""

    def __init__(self, max_s: float) -> None:
        self.max_s = max_s
        self._longest = round(max_s * RATE_HZ)
        self._pcm = bytearray()
        self._half = b""
        self.start = 0
        """The first sample that is kept."""
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=_ARRIVALS)

    @property
    def end(self) -> int:
        """The first sample that has not come yet."""
        return self.start + len(self._pcm) // BYTES

    @property
    def seconds(self) -> float:
        """How much is kept."""
        return (self.end - self.start) / RATE_HZ

    def whole(self, data: bytes) -> bytes:
        """The whole samples that `data` completes; half of one is kept for the next time."""
        data = self._half + data
        cut = len(data) // BYTES * BYTES
        self._half = data[cut:]
        return data[:cut]

    def append(self, pcm: bytes, now_s: float) -> None:
        """Keep more. Raises ProtocolError where that is too much, and then keeps nothing of it."""
        if len(pcm) // BYTES + self.end - self.start > self._longest:
            raise ProtocolError(
                f"{self.seconds + len(pcm) / BYTES / RATE_HZ:.1f} s wait to become a message, the limit is {self.max_s:g} s (max_turn_s): "
                "send input_audio_buffer.commit or input_audio_buffer.clear",
                code="input_audio_buffer_full",
                param="audio",
            )
        self._pcm += pcm
        self._arrivals.append((self.end, now_s))

    def keep_from(self, sample: int) -> None:
        """Forget what lies before a sample."""
        sample = min(max(sample, self.start), self.end)
        del self._pcm[: (sample - self.start) * BYTES]
        self.start = sample

    def take(self, first: int, end: int) -> bytes:
        """The sound between two samples, as far as it is kept."""
        first, end = max(first, self.start), min(end, self.end)
        return bytes(self._pcm[(first - self.start) * BYTES : max(0, end - self.start) * BYTES])

    def arrived_s(self, sample: int) -> float | None:
        """When the sample before this one came; None for one of long ago."""
        found = None
        for end, now_s in reversed(self._arrivals):
            if end < sample:
                break
            found = now_s
        return found


def decoded(text: str, param: str = "audio") -> bytes:
    """The bytes of base64. Raises ProtocolError for anything else."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError(f"not base64: {error}", code="invalid_base64", param=param) from error


def milliseconds(sample: int) -> int:
    """The time of a sample."""
    return sample * 1000 // RATE_HZ


def seconds_of(pcm: bytes | bytearray) -> float:
    """Length of samples."""
    return len(pcm) / BYTES / RATE_HZ
