"""The embedded encoder: mel cepstra and prosody of each 20 ms, computed and not learned.

Sounds come first, in dimensions of about equal spread: cepstra, their differences, and loudness within the clip. Voice comes after, scaled
down so that a codebook follows the sounds and leaves pitch, voicing, level and tilt, where emotion lies, to the residuals.
Frames lie where those of HuBERT and its kin lie: T = floor((S - 400) / 320) + 1. Plain numpy. Axes: T frames, S samples, F bins, D width.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import soxr
from scipy.fft import dct, irfft, rfft

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.units.config import CepstraConfig, FrameConfig

Floats = npt.NDArray[np.float32]

# Raise this when the same clip would come out as other frames.
FORMAT = "1"

WINDOW, HOP = 400, 320  # samples at 16 kHz: 25 ms, of which each frame begins 20 ms after the last
_WINDOW_SHAPE = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
_N_FFT = 512
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7_600.0
_FLOOR = 1e-8  # power, about -80 dB of full scale: below it lies the noise of 16 bits
_QUIETEST_DB = -60.0  # below the loud parts of a clip, where silence is silence

# Pitch is sought in a band-limited copy, where it lies, at a quarter of the work.
_PITCH_RATE_HZ = 8_000
_PITCH_WINDOW, _PITCH_FFT = 400, 1024  # 50 ms, three periods of the deepest voice
_PITCH_HZ = (65.0, 500.0)
_MIDDLE_PITCH_HZ = 160.0
_VOICED_FROM = 0.45  # of the normalised autocorrelation, where voices begin
_NEAR_FRAMES = 12  # a quarter of a second to either side: the span of an intonation

# Spread of each feature over read and acted speech, so that each, divided by it, weighs alike.
_CEPSTRUM_SPREAD, _CEPSTRUM_FALL = 6.5, 0.72
_DELTA_SHARE = 0.28
_LEVEL_SPREAD_DB = 15.0
PROSODY = ("pitch", "pitch_slope", "pitch_span", "voicing", "level", "tilt")
_PROSODY_SPREAD = np.array([0.45, 0.06, 0.2, 0.3, 13.0, 12.0], np.float32)  # octaves, octaves a frame, octaves, 1, dB, dB
_PROSODY_MIDDLE = np.array([0.0, 0.0, 0.15, 0.5, -40.0, -12.0], np.float32)


def load(config: FrameConfig) -> "CepstraEncoder":
    """The encoder with the settings `config.cepstra`."""
    return CepstraEncoder(config.cepstra)


class CepstraEncoder:
    """A `rapport.core.speech.FrameEncoder`."""

    def __init__(self, config: CepstraConfig | None = None) -> None:
        self.config = config or CepstraConfig()
        self._mels = mel_filters(self.config.bands)
        count = self.config.coefficients
        self._spread = (_CEPSTRUM_SPREAD * np.arange(1, count + 1) ** -_CEPSTRUM_FALL).astype(np.float32)
        self._pitch = PitchFinder()

    @property
    def width(self) -> int:
        """D: cepstra and their differences, loudness and its difference, prosody."""
        return 2 * self.config.coefficients + 2 + len(PROSODY)

    @property
    def hop_s(self) -> float:
        """20 ms."""
        return HOP / SAMPLE_RATE_HZ

    @property
    def provenance(self) -> Mapping[str, str]:
        """The settings; there are no weights."""
        return {"backend": "cepstra", "format": FORMAT, **{k: str(v) for k, v in self.config.model_dump().items()}}

    def encode(self, clips: Sequence[npt.NDArray[np.floating]]) -> list[Floats]:
        """Frames, float32 [T, D], of each clip [S] at 16 kHz; a clip below 25 ms is taken as if silence followed."""
        return [self._encode(np.asarray(clip, np.float32)) for clip in clips]

    def _encode(self, samples: Floats) -> Floats:
        samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
        power = power_spectra(samples, HOP)  # [T, F]
        log_mels = np.log(power @ self._mels + np.float32(_FLOOR))
        cepstra = dct(log_mels, axis=1, norm="ortho")[:, 1 : self.config.coefficients + 1]
        level_db = 10 * np.log10(power.sum(1) / WINDOW + np.float32(_FLOOR))
        loudness_db = np.maximum(level_db - np.percentile(level_db, 95), _QUIETEST_DB)
        if self.config.mean_normalised:
            cepstra = cepstra - _mean_of_speech(cepstra, loudness_db)
        cepstra = cepstra / self._spread
        loudness = loudness_db[:, None] / np.float32(_LEVEL_SPREAD_DB)
        sounds = np.concatenate([cepstra, loudness], 1)
        prosody = np.column_stack([*self._pitch.track(samples, len(power)), level_db, self._tilt_db(power)])
        prosody = (prosody - _PROSODY_MIDDLE) / _PROSODY_SPREAD * np.float32(self.config.prosody_weight)
        return np.concatenate([sounds, _slope(sounds) / np.float32(_DELTA_SHARE), prosody], 1).astype(np.float32)

    @staticmethod
    def _tilt_db(power: Floats) -> Floats:
        """[T] energy above 1 kHz against that below, which grows with vocal effort."""
        edge = round(1_000 * _N_FFT / SAMPLE_RATE_HZ)
        above, below = power[:, edge:].sum(1), power[:, :edge].sum(1)
        tilt: Floats = 10 * np.log10((above + np.float32(_FLOOR)) / (below + np.float32(_FLOOR)))
        return tilt


class PitchFinder:
    """Pitch by autocorrelation, freed of the window's own (Boersma 1993)."""

    def __init__(self) -> None:
        self._window = np.hanning(_PITCH_WINDOW + 2)[1:-1].astype(np.float32)
        own = irfft(_power(self._window, _PITCH_FFT))
        lowest_hz, highest_hz = _PITCH_HZ
        self._lags = np.arange(int(_PITCH_RATE_HZ / highest_hz), int(_PITCH_RATE_HZ / lowest_hz) + 2)
        self._own = (own[self._lags] / own[0]).astype(np.float32)
        # A period fits twice into twice itself: the shorter of two equal candidates is the voice.
        self._cost = (0.02 * np.log2(self._lags / self._lags[0])).astype(np.float32)

    def track(self, samples: Floats, frames: int) -> tuple[Floats, Floats, Floats, Floats]:
        """Four times [T]: pitch (octaves from 160 Hz, 0 where there is no voice), its slope, its span near by, and voicing, 0 to 1."""
        slow = soxr.resample(samples, SAMPLE_RATE_HZ, _PITCH_RATE_HZ)
        middle = WINDOW * _PITCH_RATE_HZ // SAMPLE_RATE_HZ // 2
        hop = HOP * _PITCH_RATE_HZ // SAMPLE_RATE_HZ
        before = _PITCH_WINDOW // 2 - middle  # both windows have one centre
        padded = np.pad(slow, (before, max(0, hop * frames + _PITCH_WINDOW - before - len(slow))))
        pieces = np.lib.stride_tricks.sliding_window_view(padded, _PITCH_WINDOW)[::hop][:frames]
        pieces = (pieces - pieces.mean(1, keepdims=True)) * self._window
        correlation = irfft(_power(pieces, _PITCH_FFT))
        energy = correlation[:, :1] + _PITCH_WINDOW * _FLOOR
        wave = (correlation[:, self._lags] / energy / self._own).astype(np.float32)  # [T, lags]
        best = (wave - self._cost)[:, 1:-1].argmax(1) + 1
        rows = np.arange(frames)
        left, peak, right = (wave[rows, best + step] for step in (-1, 0, 1))
        bend = left - 2 * peak + right
        shift = np.where(bend < -1e-6, 0.5 * (left - right) / np.minimum(bend, -1e-6), 0).clip(-0.5, 0.5)
        octaves = np.log2(_PITCH_RATE_HZ / (self._lags[best] + shift) / _MIDDLE_PITCH_HZ)
        voicing = peak.clip(0, 1)
        voiced = voicing > _VOICED_FROM
        pitch = np.where(voiced, octaves, 0)
        both = voiced[1:] & voiced[:-1]
        slope = np.concatenate([[0], np.where(both, np.diff(octaves), 0).clip(-0.3, 0.3)])
        return pitch, slope, _span(octaves, voiced), voicing


def power_spectra(samples: Floats, hop: int) -> Floats:
    """[T, F] power of each 25 ms of samples [S], S >= 400, every `hop` samples; F reaches from 0 to 8 kHz."""
    pieces = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::hop]  # [T, window]
    return _power(pieces * _WINDOW_SHAPE, _N_FFT) / np.float32(WINDOW)


def mel_filters(bands: int) -> Floats:
    """[F, bands] triangles of equal height, evenly spaced on the mel scale (O'Shaughnessy 1987)."""
    edges_hz = 700 * (10 ** (np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), bands + 2) / 2595) - 1)
    bins_hz = np.arange(_N_FFT // 2 + 1)[:, None] * SAMPLE_RATE_HZ / _N_FFT
    low, middle, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    filters: Floats = np.minimum(rising, falling).clip(0).astype(np.float32)
    return filters


def _power(pieces: Floats, size: int) -> Floats:
    """[..., F] squared magnitudes of the spectrum, without the slow square root on the way."""
    spectrum = rfft(pieces, size)
    power: Floats = np.square(spectrum.real) + np.square(spectrum.imag)
    return power


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _mean_of_speech(cepstra: Floats, loudness_db: Floats) -> Floats:
    """[D] the mean over frames of speech: pauses, however long, must not move the sounds."""
    mean: Floats = np.mean(cepstra[loudness_db > -30], 0, dtype=np.float32)
    return mean


def _slope(values: Floats) -> Floats:
    """[T, D] the slope over five frames by least squares; the ends are repeated."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    return np.asarray((2 * (padded[4:] - padded[:-4]) + padded[3:-1] - padded[1:-3]) / 10, np.float32)


def _span(octaves: Floats, voiced: npt.NDArray[np.bool_]) -> Floats:
    """[T] standard deviation of pitch over the voiced frames near by, in octaves; 0 where there are none."""
    kernel = np.ones(2 * _NEAR_FRAMES + 1)
    weight = voiced.astype(np.float64)
    count, first, second = (
        np.convolve(x, kernel)[_NEAR_FRAMES : _NEAR_FRAMES + len(x)] for x in (weight, weight * octaves, weight * octaves**2)
    )
    count = np.maximum(count, 1)
    return np.sqrt(np.maximum(second / count - (first / count) ** 2, 0)).astype(np.float32)
