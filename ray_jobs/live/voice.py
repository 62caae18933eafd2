"""Where voice is in a stream of sound, frame by frame (WebRTC's detector)."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, rms_db, to_pcm16

FRAME_S = 0.03
_FRAME = round(FRAME_S * SAMPLE_RATE_HZ)
_MARGIN = round(0.2 * SAMPLE_RATE_HZ)
_BEGINS_FRAMES = 4
_KEPT_FRAMES = round(40 / FRAME_S)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Samples `start` to `end` (number since the start of the stream) that hold an utterance and a margin around it."""

    start: int
    end: int


class VoiceTracker:
    """Marks the voiced frames of a stream and cuts it into utterances at pauses. Safe for one writer and one reader."""

    def __init__(self, aggressiveness: int, silence_db: float, pause_s: float, max_utterance_s: float) -> None:
        import webrtcvad

        self._detector = webrtcvad.Vad(aggressiveness)
        self._silence_db = silence_db
        self._pause_frames = max(1, round(pause_s / FRAME_S))
        self._max_frames = round(max_utterance_s / FRAME_S)
        self._rest = np.zeros(0, np.float32)
        self._frames = 0
        self._voiced: deque[int] = deque(maxlen=_KEPT_FRAMES)  # numbers of the voiced frames
        self._begin: int | None = None
        self._last_voiced = -1

    def hear(self, block: np.ndarray) -> list[Stretch]:
        """The utterances that end within the next samples [S]."""
        samples = np.concatenate([self._rest, block])
        whole = len(samples) // _FRAME * _FRAME
        self._rest = samples[whole:]
        ended = [self._next_frame(frame) for frame in samples[:whole].reshape(-1, _FRAME)]
        return [stretch for stretch in ended if stretch is not None]

    def finish(self) -> list[Stretch]:
        """The utterance that the end of the stream ends, if any."""
        return [] if self._begin is None else [self._end()]

    def voice_s(self, start: int, end: int) -> float:
        """Seconds of voice between two samples."""
        first, last = start / _FRAME, end / _FRAME
        return FRAME_S * sum(first <= frame < last for frame in self._voiced.copy())

    def _next_frame(self, frame: np.ndarray) -> Stretch | None:
        number, self._frames = self._frames, self._frames + 1
        voiced = rms_db(frame) >= self._silence_db and self._detector.is_speech(to_pcm16(frame).tobytes(), SAMPLE_RATE_HZ)
        if voiced:
            self._voiced.append(number)
            self._last_voiced = number
            # A click is voiced for a frame or two: an utterance begins where several of the last frames are.
            recent = [v for v in list(self._voiced)[-_BEGINS_FRAMES:] if v > number - 2 * _BEGINS_FRAMES]
            if self._begin is None and len(recent) == _BEGINS_FRAMES:
                self._begin = recent[0]
        if self._begin is None:
            return None
        paused = number - self._last_voiced >= self._pause_frames
        return self._end() if paused or number - self._begin >= self._max_frames else None

    def _end(self) -> Stretch:
        assert self._begin is not None
        stretch = Stretch(max(0, self._begin * _FRAME - _MARGIN), min(self._frames * _FRAME, (self._last_voiced + 1) * _FRAME + _MARGIN))
        self._begin = None
        return stretch
