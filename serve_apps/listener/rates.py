"""Other clocks than the model's: audio of any rate comes in at 16 kHz, poses go out at the rate that a client asks for.

Both give the same however their input is cut, and both know all of their past, so that a stream can be resumed.
Axes: S samples, K taps, P phases.
"""

from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.pose import PoseFrame

Floats = npt.NDArray[np.float32]

# Each side of the filter is 32 periods of the lower of the two rates long: 2 ms at 16 kHz. A Kaiser window of this shape leaves 80 dB.
_PERIODS, _KAISER = 32, 8.0
# The pass band ends where the window's slope still fits below half of the lower rate.
_CUTOFF = 0.925
INPUT_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_PIECE = 2048  # samples made at once, which bounds the memory of a push of any length
_JUMP_S = 1.0  # poses farther apart than this are not joined
_SAME_TIME_S = 1e-6


class AudioTo16k:
    """Audio of another rate as 16 kHz, piece by piece. Its memory does not grow."""

    def __init__(self, rate_hz: int) -> None:
        """`rate_hz` is one of `INPUT_RATES_HZ`: others would need a filter for each of thousands of places between two samples."""
        self.rate_hz = rate_hz
        common = gcd(rate_hz, SAMPLE_RATE_HZ)
        self._up, self._down = SAMPLE_RATE_HZ // common, rate_hz // common
        self._half = 0 if rate_hz == SAMPLE_RATE_HZ else -(-_PERIODS * max(rate_hz, SAMPLE_RATE_HZ) // SAMPLE_RATE_HZ)
        self._taps = None if rate_hz == SAMPLE_RATE_HZ else _taps(rate_hz, self._up, self._half)
        self.taken = 0
        """Samples taken so far."""
        self.tail: Floats = np.zeros(2 * self._half, np.float32)
        """[K] the last samples taken, which with `taken` is all there is to know."""

    @property
    def latency_s(self) -> float:
        """By how much what comes out lags behind what goes in."""
        return self._half / self.rate_hz

    def push(self, samples: Floats) -> Floats:
        """[S'] the samples at 16 kHz that `samples` [S] complete."""
        if self._taps is None:
            self.taken += len(samples)
            return samples
        known = np.concatenate([self.tail, samples])
        zero = self.taken - len(self.tail)  # which sample `known` begins with
        first = self._made(self.taken)
        self.taken += len(samples)
        # Sample k lies at k * down / up of the samples taken; it is made of `half` of them on each side.
        made = np.arange(first, self._made(self.taken), dtype=np.int64)
        starts = made * self._down // self._up - self._half + 1 - zero
        phases = made * self._down % self._up
        out = np.empty(len(made), np.float32)
        if len(made):
            windows = np.lib.stride_tricks.sliding_window_view(known, 2 * self._half)
            for start in range(0, len(made), _PIECE):
                part = slice(start, start + _PIECE)
                # Row by row: a matrix product would round a sample differently among others.
                out[part] = (windows[starts[part]] * self._taps[phases[part]]).sum(1)
        self.tail = known[len(known) - len(self.tail) :].copy()
        return out

    def finish(self) -> Floats:
        """[S'] the samples at 16 kHz that are still due, as if silence followed."""
        due = self.push(np.zeros(self._half, np.float32))
        self.taken -= self._half  # nobody sent that silence
        return due

    def resume(self, taken: int, tail: Floats) -> None:
        """Go on where another one of this rate was."""
        self.taken, self.tail = taken, tail

    def _made(self, taken: int) -> int:
        """How many samples at 16 kHz can be made of so many."""
        return max(0, -(-(taken - self._half) * self._up // self._down))


class PosesAt:
    """Poses on a clock of another rate, interpolated between those of the model: frame k belongs to (k + 1) / rate_hz seconds.

    At the model's own rate they stay as they are. Of a gap of more than a second nothing is made up.
    """

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self.next = 0
        """The frame that is due."""
        self.last: PoseFrame | None = None
        """The last pose of the model; None before the first."""

    @property
    def last_s(self) -> float:
        """The time of the last frame given, or 0."""
        return self.next / self.rate_hz

    def push(self, poses: list[PoseFrame]) -> list[PoseFrame]:
        """The frames that these poses make due."""
        due: list[PoseFrame] = []
        for pose in poses:
            if pose.time_s - self.next / self.rate_hz > _JUMP_S:
                self.next, self.last = int((pose.time_s + _SAME_TIME_S) * self.rate_hz) - 1, None
            while (time_s := (self.next + 1) / self.rate_hz) <= pose.time_s + _SAME_TIME_S:
                due.append(PoseFrame(time_s, *self._angles(time_s, pose)))
                self.next += 1
            self.last = pose
        return due

    def _angles(self, time_s: float, pose: PoseFrame) -> tuple[float, float, float]:
        a, b, c = pose[1:]
        if self.last is None or not self.last.time_s < time_s < pose.time_s - _SAME_TIME_S:
            return a, b, c
        share = (time_s - self.last.time_s) / (pose.time_s - self.last.time_s)
        x, y, z = (old + share * (new - old) for old, new in zip(self.last[1:], pose[1:], strict=True))
        return x, y, z


@lru_cache
def _taps(rate_hz: int, phases: int, half: int) -> Floats:
    """[P, K] a low pass for each place that a sample made can have between two samples taken."""
    cutoff = _CUTOFF * min(1.0, SAMPLE_RATE_HZ / rate_hz)  # of half of the rate that is taken
    distance = np.arange(1 - half, half + 1) - np.arange(phases)[:, None] / phases
    inside = np.clip(1 - (distance / half) ** 2, 0, None)
    taps = cutoff * np.sinc(cutoff * distance) * np.i0(_KAISER * np.sqrt(inside)) / np.i0(_KAISER)
    return (taps / taps.sum(1, keepdims=True)).astype(np.float32)
