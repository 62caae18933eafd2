"""What the listener hears, as it is spoken: one row of features a frame, from the 64 ms before the frame's time and nothing after.

    front_end = load_front_end(FrontEndConfig())
    rows = front_end.features(samples)               # [T, D] of a recording
    stream = front_end.stream()
    rows = stream.push(samples)                      # [n, D] of the frames that these samples complete

Both give the same bits however the samples are cut: every row is computed by itself, by elementwise steps, transforms and sums of one
row. A matrix product would round a row differently among others. Plain numpy. Axes: S samples at 16 kHz, n and T frames, F bins, D width.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_count, frame_ends
from rapport.models.listener.config import CausalConfig, FrontEndConfig
from rapport.models.listener.voice import VoiceFinder

Floats = npt.NDArray[np.float32]

# Raise this when the same speech would come out as other features.
FORMAT = 1

WINDOW = 1024  # samples: 64 ms, four periods of the deepest voice
VOICE = ("log_f0", "voicing", "level", "activity")
"""The columns after the spectrum: octaves from 160 Hz (0 without a voice), 0 to 1, natural logarithm of power, 0 to 1."""

_BINS = WINDOW // 2
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7_600.0
_DB = 10 / math.log(10)  # dB in a natural logarithm of power
_FLOOR = np.float32(1e-8)  # power, -80 dB of full scale: below it lies the noise of 16 bits
_PIECE = SAMPLE_RATE_HZ // 4  # samples taken at once, which bounds the memory of a push of any length
_ROWS = 16  # windows analysed at once: their arrays stay below the size for which the system is asked for fresh memory each time

# Speech stands out from the noise, which is followed from below: at once where it falls, slowly where it rises.
_LOUDEST_NOISE_DB, _QUIETEST_NOISE_DB = -40.0, -70.0
_NOISE_RISE_DB_S = 1.5
_ACTIVE_FROM_DB, _ACTIVE_TO_DB = 6.0, 18.0  # above the noise, from not active at all to wholly active


class FrontEnd(Protocol):
    """What turns speech into rows of features on the clock of the motion."""

    @property
    def width(self) -> int:
        """D, the numbers in a row."""
        ...

    @property
    def frame_rate_hz(self) -> int:
        """Rows in a second."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """JSON that settles the features of a recording: equal identities give equal rows."""
        ...

    def features(self, samples: npt.NDArray[np.floating]) -> Floats:
        """[T, D] of a recording [S] at 16 kHz, with T = floor(S * frame_rate_hz / 16000); what is not finite is taken as silence."""
        ...

    def stream(self) -> "FeatureStream":
        """Features as speech arrives. Raises RapportError where the whole recording is needed."""
        ...


def load_front_end(config: FrontEndConfig) -> FrontEnd:
    """The front end that the settings name. Raises RapportError when its weights cannot be loaded."""
    if config.kind == "causal":
        return CausalFrontEnd(config)
    from rapport.models.listener.offline import load_offline  # opensmile and transformers take seconds to import

    return load_offline(config)


class CausalFrontEnd:
    """A `FrontEnd` that needs no future. Threads may share it."""

    def __init__(self, config: FrontEndConfig | None = None) -> None:
        config = config or FrontEndConfig()
        self.config: CausalConfig = config.causal
        self.frame_rate_hz = config.frame_rate_hz
        self.width = self.config.bands + len(VOICE)
        self._shape = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
        # Scaled so that the bins of a window sum to its mean power.
        self._scale = np.float32(2 / (WINDOW * np.square(self._shape, dtype=np.float64).sum()))
        self._edges, self._rising, self._falling = _mel_slopes(self.config.bands)
        self._cosines = _cosines(self.config.bands)
        self._voice = VoiceFinder(self._shape)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Kind, version and settings; there are no weights."""
        return {"kind": "causal", "format": FORMAT, "frame_rate_hz": self.frame_rate_hz, **self.config.model_dump(mode="json")}

    def features(self, samples: npt.NDArray[np.floating]) -> Floats:
        """[T, D] of a recording [S] at 16 kHz in [-1, 1]; what lies beyond is clipped, and what is not finite taken as silence.

        Raises RapportError for an array of another shape or of whole numbers.
        """
        return self.stream().push(samples)

    def stream(self) -> "FeatureStream":
        """A stream at its beginning, before which there was silence."""
        return FeatureStream(self)

    def analyse(self, windows: Floats) -> Floats:
        """The rows [n, D] of windows [n, 1024], with activity left at 0."""
        rows = np.zeros((len(windows), self.width), np.float32)
        for start in range(0, len(windows), _ROWS):
            self._analyse(windows[start : start + _ROWS], rows[start : start + _ROWS])
        return rows

    def _analyse(self, windows: Floats, rows: Floats) -> None:
        spectrum = np.fft.rfft(windows * self._shape)
        power = (np.square(spectrum.real) + np.square(spectrum.imag))[:, :_BINS] * self._scale
        power[:, 0] = 0  # a microphone's offset is no sound
        bands = self.config.bands
        mels = np.log(self._mels(power) + _FLOOR)
        # Terms are summed along the last axis, one row and coefficient at a time.
        rows[:, :bands] = mels if self.config.spectrum == "logmel" else (mels[:, None] * self._cosines).sum(2)
        rows[:, bands], rows[:, bands + 1] = self._voice.find(power)
        rows[:, bands + 2] = np.log(power.sum(1) + _FLOOR)

    def _mels(self, power: Floats) -> Floats:
        """[n, bands] power in each mel band: what a bin gives to the band that rises over it, and to the one that falls."""
        rising = np.add.reduceat(power * self._rising, self._edges, axis=1)
        falling = np.add.reduceat(power * self._falling, self._edges, axis=1)
        mels: Floats = rising[:, :-2] + falling[:, 1:-1]
        return mels


class FeatureStream:
    """The features of speech that arrives in pieces of any size. Its memory does not grow. One thread at a time."""

    def __init__(self, front_end: CausalFrontEnd) -> None:
        self.front_end = front_end
        self.samples = 0
        """Samples taken so far, whole numbers without end."""
        self.noise_db = _LOUDEST_NOISE_DB
        """Level of the noise, as far as it is known."""
        self._buffer = np.zeros(WINDOW + _PIECE, np.float32)
        self._filled = WINDOW  # silence came before
        self._windows = np.lib.stride_tricks.sliding_window_view(self._buffer, WINDOW)  # by their first sample, no copy

    @property
    def frames(self) -> int:
        """Frames given so far."""
        return frame_count(self.samples, self.front_end.frame_rate_hz)

    def push(self, samples: npt.NDArray[np.floating]) -> Floats:
        """[n, D] of the frames that `samples` [S] complete; n may be 0. Raises RapportError as `CausalFrontEnd.features`."""
        return push_features([self], [samples])[0]

    @property
    def tail(self) -> Floats:
        """[1024] the last samples, which with `samples` and `noise_db` are all there is to know."""
        return self._buffer[self._filled - WINDOW : self._filled]

    def resume(self, samples: int, noise_db: float, tail: Floats) -> None:
        """Go on where another stream was."""
        self.samples, self.noise_db = samples, noise_db
        self._buffer[:WINDOW] = _checked(tail)
        self._filled = WINDOW

    def skip(self, samples: int) -> None:
        """Let time pass with nothing heard and give no frames; what was heard before is forgotten."""
        self.resume(self.samples + samples, _LOUDEST_NOISE_DB, np.zeros(WINDOW, np.float32))

    def _take(self, piece: Floats) -> Floats:
        """[n, window] the windows that a piece of at most a quarter of a second completes."""
        if self._filled + len(piece) > len(self._buffer):
            self._buffer[:WINDOW] = self.tail.copy()
            self._filled = WINDOW
        first, zero = self.frames, self.samples - self._filled  # the sample at which the buffer begins
        self._buffer[self._filled : self._filled + len(piece)] = piece
        self._filled += len(piece)
        self.samples += len(piece)
        windows: Floats = self._windows[frame_ends(first, self.frames, self.front_end.frame_rate_hz) - zero - WINDOW]
        return windows

    def _activity(self, levels: Floats) -> list[float]:
        """[n] how far each level (natural logarithm of power, [n]) stands out from the noise, which is followed on the way."""
        rise_db = _NOISE_RISE_DB_S / self.front_end.frame_rate_hz
        activity = []
        for level in levels.tolist():  # plain numbers: a stream has one level at a time, for which an array is slow
            level_db = level * _DB
            self.noise_db = max(min(level_db, self.noise_db + rise_db, _LOUDEST_NOISE_DB), _QUIETEST_NOISE_DB)
            share = (level_db - self.noise_db - _ACTIVE_FROM_DB) / (_ACTIVE_TO_DB - _ACTIVE_FROM_DB)
            activity.append(min(max(share, 0.0), 1.0))
        return activity


def push_features(streams: Sequence[FeatureStream], chunks: Sequence[npt.NDArray[np.floating]]) -> list[Floats]:
    """What `push` of each stream gives for its chunk, the windows of all analysed at once: streams of one front end, each named once.

    Raises RapportError for a bad chunk, and then no stream has moved.
    """
    ready = [_checked(chunk) for chunk in chunks]
    found: list[list[Floats]] = [[] for _ in streams]
    for start in range(0, max(map(len, ready), default=0), _PIECE):
        windows = [stream._take(chunk[start : start + _PIECE]) for stream, chunk in zip(streams, ready, strict=True)]
        counts = [len(rows) for rows in windows]
        if not any(counts):
            continue
        rows = streams[0].front_end.analyse(windows[0] if len(windows) == 1 else np.concatenate(windows))
        first = 0
        for stream, parts, count in zip(streams, found, counts, strict=True):
            if count:
                own = rows[first : first + count]
                own[:, -1] = stream._activity(own[:, -2])
                parts.append(own)
            first += count
    return [
        parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, stream.front_end.width), np.float32), *parts])
        for stream, parts in zip(streams, found, strict=True)
    ]


def _checked(samples: npt.NDArray[np.floating]) -> Floats:
    values = np.asarray(samples)
    if values.ndim != 1 or values.dtype.kind != "f":
        raise RapportError(f"samples are {values.dtype} {list(values.shape)}: wanted floating point [S] in [-1, 1] at 16 kHz, one channel")
    values = values.astype(np.float32, copy=False)
    if len(values) and not np.abs(values).max() <= 1:  # NaN compares false
        values = np.where(np.isfinite(values), values, np.float32(0)).clip(-1, 1)
    return values


def _mel_slopes(bands: int) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Triangles of equal height, evenly spaced on the mel scale (O'Shaughnessy 1987), as sums over stretches of bins.

    The bins [bands + 2] at which stretches begin, and how much of each bin [F] belongs to the band that rises there and to the one
    that falls.
    """
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges_hz = 700 * (10 ** (np.linspace(low, high, bands + 2) / 2595) - 1)
    bins_hz = np.arange(_BINS) * SAMPLE_RATE_HZ / WINDOW
    stretch = np.searchsorted(edges_hz, bins_hz, side="right") - 1  # -1 below the lowest band
    inside = (stretch >= 0) & (stretch <= bands)
    at = stretch.clip(0, bands)
    rising = np.where(inside, (bins_hz - edges_hz[at]) / (edges_hz[at + 1] - edges_hz[at]), 0)
    falling = np.where(inside, 1 - rising, 0)
    return np.searchsorted(bins_hz, edges_hz), rising.astype(np.float32), falling.astype(np.float32)


def _cosines(bands: int) -> Floats:
    """[bands, bands] the orthonormal cosine transform (DCT-II), a coefficient a row."""
    order, band = np.arange(bands)[:, None], np.arange(bands)
    cosines = np.cos(np.pi * order * (2 * band + 1) / (2 * bands)) * np.sqrt(2 / bands)
    cosines[0] /= np.sqrt(2)
    return cosines.astype(np.float32)
