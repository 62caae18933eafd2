"""When somebody begins and ends to speak, told from the sound as it comes (WebRTC's detector, and a level below which nobody is heard).

Places are samples at 16 kHz since the first. Any cutting of the sound gives the same.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, rms_db, to_pcm16
from rapport.serve_apps.realtime.session_config import ServerVad

FRAME = SAMPLE_RATE_HZ // 50
"""Samples that are judged together."""

TAIL_MS = 200
"""Of the pause after a turn, what belongs to it: from then on all is known of how the turn sounds, if it is one."""

_PAUSED = -(-TAIL_MS * SAMPLE_RATE_HZ // (1000 * FRAME))
_BEGINS, _AMONG = 5, 8  # a click is voiced for a frame or two: a turn begins where so many of the last frames are
_FAINTEST_DB, _DB_PER_THRESHOLD = -65.0, 30.0  # level that is heard at threshold 0, and how much louder it must be at threshold 1


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a turn begins or ends, or may do so: after `paused` comes `resumed` or `stopped`."""

    kind: Literal["started", "paused", "resumed", "stopped"]
    sample: int
    """The first of the voice, or the first after it."""


class TurnDetector:
    """Follows one voice. Its memory does not grow."""

    def __init__(self, settings: ServerVad) -> None:
        import webrtcvad

        self._detector = webrtcvad.Vad(round(3 * settings.threshold))
        self._faintest_db = _FAINTEST_DB + _DB_PER_THRESHOLD * settings.threshold
        self._pause_frames = max(1, -(-settings.silence_duration_ms * SAMPLE_RATE_HZ // (1000 * FRAME)))
        self._rest = np.zeros(0, np.float32)
        self._frame = 0
        self._recent: deque[int] = deque(maxlen=_BEGINS)  # numbers of the last voiced frames
        self._speaking = self._paused = False

    @property
    def speaking(self) -> bool:
        """Whether a turn is under way."""
        return self._speaking

    @property
    def voice_end(self) -> int:
        """The first sample after the last voice that was heard."""
        return (self._recent[-1] + 1) * FRAME if self._recent else 0

    def hear(self, samples: np.ndarray) -> list[Edge]:
        """The edges within the next samples [S]."""
        known = np.concatenate([self._rest, samples])
        whole = len(known) // FRAME * FRAME
        self._rest = known[whole:]
        edges = [self._next(frame) for frame in known[:whole].reshape(-1, FRAME)]
        return [edge for edge in edges if edge is not None]

    def stop(self) -> None:
        """The turn is over, whatever is heard."""
        self._speaking = self._paused = False
        self._recent.clear()

    def _next(self, frame: np.ndarray) -> Edge | None:
        number, self._frame = self._frame, self._frame + 1
        if rms_db(frame) >= self._faintest_db and self._detector.is_speech(to_pcm16(frame).tobytes(), SAMPLE_RATE_HZ):
            self._recent.append(number)
        if self._speaking:
            silent = number - self._recent[-1] if self._recent else self._pause_frames
            if silent < self._pause_frames:
                return self._breathe(silent)
            edge = Edge("stopped", self.voice_end)
            self.stop()
            return edge
        if len(self._recent) == _BEGINS and self._recent[0] > number - _AMONG:
            self._speaking = True
            return Edge("started", self._recent[0] * FRAME)
        return None

    def _breathe(self, silent: int) -> Edge | None:
        if self._paused and not silent:
            self._paused = False
            return Edge("resumed", self._recent[-1] * FRAME)
        if not self._paused and silent >= _PAUSED:
            self._paused = True
            return Edge("paused", self.voice_end)
        return None
