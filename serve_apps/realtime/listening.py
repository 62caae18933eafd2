"""The user's side of a session: sound in, turns out, with looks at the emotion on the way. Places are samples at 24 kHz."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, from_pcm16
from rapport.serve_apps.listener.rates import AudioTo16k
from rapport.serve_apps.realtime.input_audio import BYTES, InputAudio
from rapport.serve_apps.realtime.looks import Look, Looks
from rapport.serve_apps.realtime.server_events import new_id
from rapport.serve_apps.realtime.session_config import RATE_HZ, AudioInput, EmotionLooks, ServerVad
from rapport.serve_apps.realtime.turn_detection import FRAME, TAIL_MS, Edge, TurnDetector

_PIECE = RATE_HZ // 5  # sound is judged in pieces of this, so that a client that sends minutes at once has its turns one by one
_BEFORE = 10 * FRAME * RATE_HZ // SAMPLE_RATE_HZ  # by which a voice is known later than it begins
_SHORTEST_LOOK = RATE_HZ // 4


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn."""

    item_id: str
    pcm: bytes
    start: int
    end: int
    speech_end_s: float | None
    """When the end of the voice came; None where that is not known."""


class Listening:
    """Hears one user. Lives on one event loop; nothing in it grows without bound."""

    def __init__(
        self,
        max_turn_s: float,
        window_s: float,
        looks: Looks,
        *,
        started: Callable[[str, int], None],
        stopped: Callable[[Heard], None],
        paused: Callable[[bytes | None], None],
    ) -> None:
        """`started` is told the name and the beginning of a turn, `stopped` the turn.

        `paused` is told what a turn is if the pause ends it, and None when it goes on after all.
        """
        self._looks, self._started, self._stopped, self._paused = looks, started, stopped, paused
        self._window = round(window_s * RATE_HZ)
        self._audio = InputAudio(max_turn_s)
        self._to_16k = AudioTo16k(RATE_HZ)
        self._detector: TurnDetector | None = None
        self._settings: ServerVad | None = None
        self._offset = 0  # where the detector began to hear
        self._hop: int | None = None
        self._looked = 0
        self._begin: int | None = None  # of the turn under way
        self.item_id = new_id("item")
        """The message that what is heard will be."""

    @property
    def speaking(self) -> bool:
        """Whether the user is in the middle of a turn, as far as the server tells turns apart."""
        return self._begin is not None

    @property
    def kept_s(self) -> float:
        """How much sound waits to become a message."""
        return self._audio.seconds

    def configure(self, audio: AudioInput, emotion: EmotionLooks | None) -> None:
        """Hear by these settings from now on."""
        self._hop = None if emotion is None else emotion.hop_ms * RATE_HZ // 1000
        if audio.turn_detection != self._settings:
            self._settings = audio.turn_detection
            self._renew()

    def hear(self, data: bytes, now_s: float) -> bytes:
        """Take 16-bit samples of any length. The whole samples that they complete. Raises ProtocolError where it is too much."""
        pcm = self._audio.whole(data)
        if self._detector is None:
            self._audio.append(pcm, now_s)
            self._look()
            return pcm
        for start in range(0, len(pcm), _PIECE * BYTES):
            self._follow(self._detector, pcm[start : start + _PIECE * BYTES], now_s)
        return pcm

    def commit(self) -> Heard | None:
        """All that waits, as a turn; None where there is less than 0.1 s."""
        first, end = self._begin if self._begin is not None else self._audio.start, self._audio.end
        if end - max(first, self._audio.start) < RATE_HZ // 10:
            return None
        heard = self._heard(first, end, end)
        self._renew()
        return heard

    def clear(self) -> None:
        """Forget what waits."""
        self._audio.keep_from(self._audio.end)
        self.item_id = new_id("item")
        self._renew()

    def _follow(self, detector: TurnDetector, pcm: bytes, now_s: float) -> None:
        assert self._settings is not None
        if self._begin is not None and self._audio.seconds + len(pcm) / BYTES / RATE_HZ > self._audio.max_s:
            self._stop(self._audio.end)
        before = max(0, min(round(self._settings.prefix_padding_ms * RATE_HZ / 1000) + _BEFORE, round(self._audio.max_s * RATE_HZ / 2)))
        if self._begin is None:
            self._audio.keep_from(self._audio.end - before)
        self._audio.append(pcm, now_s)
        for edge in detector.hear(self._to_16k.push(from_pcm16(pcm))):
            self._take(edge)
        self._look()

    def _take(self, edge: Edge) -> None:
        assert self._settings is not None
        at = min(self._offset + edge.sample * RATE_HZ // SAMPLE_RATE_HZ, self._audio.end)
        if edge.kind == "started":
            self._begin = max(self._audio.start, at - round(self._settings.prefix_padding_ms * RATE_HZ / 1000))
            self._looked = at
            self._started(self.item_id, self._begin)
        elif self._begin is None:
            return
        elif edge.kind == "stopped":
            self._stop(at)
        else:
            self._paused(self._audio.take(self._begin, self._end_of(at)) if edge.kind == "paused" else None)

    def _end_of(self, voice_end: int) -> int:
        """Where a turn ends whose voice ends there."""
        return min(self._audio.end, voice_end + TAIL_MS * RATE_HZ // 1000)

    def _stop(self, voice_end: int) -> None:
        """The turn under way is over."""
        assert self._begin is not None
        heard = self._heard(self._begin, self._end_of(voice_end), voice_end)
        if self._detector is not None:
            self._detector.stop()
        self._stopped(heard)

    def _heard(self, first: int, end: int, voice_end: int) -> Heard:
        first = max(first, self._audio.start)
        heard = Heard(self.item_id, self._audio.take(first, end), first, end, self._audio.arrived_s(voice_end))
        self._audio.keep_from(end)
        self._begin, self._looked, self.item_id = None, end, new_id("item")
        if self._hop is not None:
            self._looks.want(Look(heard.item_id, heard.pcm, first, final=True))
        return heard

    def _look(self) -> None:
        """Look at the emotion of the last stretch of a turn under way, if that is due."""
        if self._hop is None or (self._detector is not None and self._begin is None):
            return
        end = self._audio.end
        first = max(end - self._window, self._audio.start if self._begin is None else self._begin)
        if end - self._looked >= self._hop and end - first >= _SHORTEST_LOOK:
            self._looked = end
            self._looks.want(Look(self.item_id, self._audio.take(first, end), first, final=False))

    def _renew(self) -> None:
        """Begin to tell turns apart afresh, from what has not been heard yet."""
        self._begin = None
        self._looked = self._audio.end
        if self._settings is None:
            self._detector = None
            return
        self._detector = TurnDetector(self._settings)
        self._to_16k = AudioTo16k(RATE_HZ)
        # What comes out lags: with as much silence before it, a frame is whole when its sound has come, not one message later.
        lag = round(self._to_16k.latency_s * SAMPLE_RATE_HZ)
        self._detector.hear(np.zeros(lag, np.float32))
        self._offset = self._audio.end - lag * RATE_HZ // SAMPLE_RATE_HZ
