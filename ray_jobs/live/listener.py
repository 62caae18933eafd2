"""The ear of the live mode: sound in, smoothed emotion and finished utterances out.

Sound arrives on one thread (`feed`), thinking happens on another (`start`), and whoever shows the outcome polls `state` and `take_events`:
nothing that a model does can hold up the microphone or freeze the display.

    sound ──> ring of the last half minute ──> every hop: the last whole window ──> scores ──> exponential smoothing ──> Moment
                      └──> voice activity ──> a pause ends an utterance ──> scores and words of exactly that stretch ──> Said
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from pydantic import Field

from rapport.core.audio import SAMPLE_RATE_HZ, rms_db
from rapport.core.config import Config
from rapport.ray_jobs.live.voice import Stretch, VoiceTracker

Scores = dict[str, float]
_KEPT_S = 32.0


class ListenerConfig(Config):
    """When the listener looks, and how it steadies what it sees."""

    hop_s: float = Field(default=0.5, ge=0.05, le=10)
    """Time between two looks; each look takes in the whole last window."""
    smoothing_s: float = Field(default=1.0, ge=0)
    """Time constant of the exponential smoothing of probabilities; 0 shows each window as it is."""
    min_voice_s: float = Field(default=0.3, ge=0)
    """A window with less voice than this counts as silence."""
    silence_db: float = Field(default=-55.0, lt=0)
    """Sound below this level (dB of full scale) is never voice."""
    aggressiveness: int = Field(default=2, ge=0, le=3)
    """How strictly the voice detector rejects other sounds."""
    pause_s: float = Field(default=0.6, gt=0)
    """A pause this long ends an utterance."""
    max_utterance_s: float = Field(default=15.0, gt=0, le=30)
    """A longer utterance is cut here."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What one look saw."""

    start_s: float
    end_s: float
    """The window, in seconds since the start."""
    voice_s: float
    """Seconds of voice in it."""
    scores: Scores | None
    """Probabilities of this window alone; None in silence."""
    smoothed: Scores | None
    """Probabilities after smoothing; None in silence."""
    lag_s: float
    """How much later than the sound this was known."""


@dataclass(frozen=True, slots=True)
class Said:
    """A finished utterance."""

    start_s: float
    end_s: float
    scores: Scores
    text: str | None
    """The words; None without a transcriber."""


@dataclass
class Listener:
    """Listens with a model: `predict` gives the scores of samples [S], `transcribe` the words."""

    predict: Callable[[np.ndarray], Scores]
    window_s: float
    config: ListenerConfig
    transcribe: Callable[[np.ndarray], str] | None = None
    lossless: bool = False
    """Make `feed` wait for a slow model instead of skipping looks; for recordings that are not played in real time."""
    skipped: int = 0
    """Looks left out because the model was still busy."""
    _samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    _first: int = 0  # number, since the start, of the first sample in the ring
    _events: "SimpleQueue[Moment | Said]" = field(default_factory=SimpleQueue)
    _closed: bool = False
    _failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._voice = VoiceTracker(self.config.aggressiveness, self.config.silence_db, self.config.pause_s, self.config.max_utterance_s)
        self._hop = round(self.config.hop_s * SAMPLE_RATE_HZ)
        self._next_look = self._hop
        self._arrived_s: deque[tuple[int, float]] = deque(maxlen=2000)  # (samples so far, when)
        self._smoothed: Scores | None = None
        self._utterances: deque[Stretch] = deque()
        self._words: SimpleQueue[tuple[Stretch, np.ndarray, Scores] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in (self._think, self._write_down)]

    def start(self) -> None:
        """Begin to think."""
        for thread in self._threads:
            thread.start()

    def feed(self, block: np.ndarray) -> None:
        """Hear the next samples [S]."""
        with self._changed:
            if self.lossless:
                self._changed.wait_for(lambda: self._heard - self._next_look < self._hop or self._failure is not None)
            self._samples = np.concatenate([self._samples, block])
            surplus = len(self._samples) - round(_KEPT_S * SAMPLE_RATE_HZ)
            if surplus > SAMPLE_RATE_HZ:  # in strides of a second, so that a block does not copy half a minute
                self._samples = self._samples[surplus:]
                self._first += surplus
            self._arrived_s.append((self._heard, time.monotonic()))
            self._utterances.extend(self._voice.hear(block))
            self._changed.notify_all()

    def close(self) -> None:
        """No more sound: finish what was said, and wait for it.

        Raises what went wrong while thinking.
        """
        with self._changed:
            self._utterances.extend(self._voice.finish())
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def take_events(self) -> list[Moment | Said]:
        """What became known since the last call, in order.

        Raises what went wrong while thinking.
        """
        if self._failure is not None:
            raise self._failure
        return [self._events.get() for _ in range(self._events.qsize())]

    def recent(self, seconds: float) -> np.ndarray:
        """The last samples [S], for a display."""
        with self._changed:
            return self._samples[-round(seconds * SAMPLE_RATE_HZ) :]

    @property
    def level_db(self) -> float:
        """Level of the last tenth of a second."""
        return rms_db(self.recent(0.1))

    @property
    def _heard(self) -> int:
        return self._first + len(self._samples)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # handed to the thread that asks next
            self._failure = error
            with self._changed:
                self._changed.notify_all()
            self._words.put(None)

    def _think(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._heard >= self._next_look or self._utterances or self._closed)
                if self._closed and self._next_look - self._hop < self._heard < self._next_look:
                    self._next_look = self._heard  # the last look takes in the end, though it comes early
                look = self._heard >= self._next_look
                if look and not self.lossless:  # only the newest look matters to someone who listens now
                    late = (self._heard - self._next_look) // self._hop
                    self.skipped += late
                    self._next_look += late * self._hop
                end = self._next_look
                utterances, self._utterances = list(self._utterances), deque()
                done = self._closed and not look and not utterances
            if done:
                self._words.put(None)
                return
            for stretch in utterances:
                self._finish(stretch)
            if look:
                self._look(end)
                with self._changed:
                    self._next_look = end + self._hop
                    self._changed.notify_all()

    def _look(self, end: int) -> None:
        start = max(0, end - round(self.window_s * SAMPLE_RATE_HZ))
        samples, voice_s = self._between(start, end), self._voice.voice_s(start, end)
        scores = self.predict(samples) if voice_s >= self.config.min_voice_s else None
        self._smoothed = smooth(self._smoothed, scores, self.config.hop_s, self.config.smoothing_s)
        heard_s = next((when for count, when in self._arrived_s.copy() if count >= end), time.monotonic())
        lag_s = time.monotonic() - heard_s
        self._events.put(Moment(start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ, voice_s, scores, self._smoothed, lag_s))

    def _finish(self, stretch: Stretch) -> None:
        samples = self._between(stretch.start, stretch.end)
        if len(samples) / SAMPLE_RATE_HZ >= self.config.min_voice_s:
            self._words.put((stretch, samples, self.predict(samples)))

    def _write_down(self) -> None:
        while (item := self._words.get()) is not None:
            stretch, samples, scores = item
            text = self.transcribe(samples) if self.transcribe else None
            self._events.put(Said(stretch.start / SAMPLE_RATE_HZ, stretch.end / SAMPLE_RATE_HZ, scores, text))

    def _between(self, start: int, end: int) -> np.ndarray:
        with self._changed:
            return self._samples[max(0, start - self._first) : end - self._first].copy()


def smooth(before: Scores | None, now: Scores | None, hop_s: float, smoothing_s: float) -> Scores | None:
    """Exponentially smoothed probabilities; silence (None) forgets what was before."""
    if now is None or before is None or smoothing_s == 0:
        return now
    weight = 1 - math.exp(-hop_s / smoothing_s)
    return {emotion: before[emotion] + weight * (now[emotion] - before[emotion]) for emotion in now}
