"""The embedded units: a codebook of short stretches of mel spectrum, which can be heard and, as a spectrum is a sound but for its phase,
spoken again.

    units = fit_mel_units(clips, 22_050, HearingConfig(), seed=0)
    ids = units.hear(clips, 22_050)[0]          # [U] int32, 25 a second
    spectrum = units.spectrum(ids)              # [T, F] magnitudes at 16 kHz

Units follow each other at an even pace and are not merged, so that a sequence tells how long each sound lasts.
Plain numpy. Axes: U units, T = U x stacked frames, M bands, F bins, K clusters.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import rfft

from rapport.core.audio import SAMPLE_RATE_HZ, resample, trim_silence
from rapport.core.errors import RapportError
from rapport.models.spolacq.config import HearingConfig
from rapport.models.units.codebook import Codebook, CodebookError, load_codebook
from rapport.models.units.kmeans import choose_start, full_step, merge, statistics

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

# Raise this when the same clip would come out as other units.
FORMAT = "1"

WINDOW, HOP = 640, 160  # samples at 16 kHz: 40 ms every 10 ms, the overlap of four that Griffin-Lim wants
BINS = WINDOW // 2 + 1
HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)

_PEAK = np.float32(0.9)
_FLOOR = np.float32(1e-3)  # magnitude, about -60 dB below the loud parts: quieter is silence
_TOLERANCE = 1e-3  # k-means ends when a pass lowers the squared distance by less than this share


class MelUnits:
    """What hears units, and knows the spectrum of each."""

    def __init__(self, codebook: Codebook, config: HearingConfig) -> None:
        """Raises CodebookError when the codebook was fitted with other bands or another number of stacked frames."""
        codebook.check_encoder(encoder_of(config))
        self.codebook, self.config = codebook, config

    @property
    def count(self) -> int:
        """K."""
        return self.codebook.clusters

    @property
    def units_per_s(self) -> float:
        """25 with four stacked frames."""
        return SAMPLE_RATE_HZ / (HOP * self.config.stacked_frames)

    @property
    def identity(self) -> str:
        """Equal identities give equal units."""
        return f"mel units {FORMAT}, codebook {self.codebook.hash}"

    def hear(self, clips: Sequence[npt.NDArray[np.floating]], rate_hz: int = SAMPLE_RATE_HZ) -> list[Ints]:
        """Units [U] of each clip [S], its silent ends left out; empty for silence."""
        return [self.codebook.assign(stretches(clip, rate_hz, self.config)).astype(np.int32) for clip in clips]

    def spectrum(self, units: npt.NDArray[np.integer]) -> Floats:
        """Magnitudes [T, F] of units [U].

        Raises RapportError for numbers that are no units of this codebook.
        """
        if len(units) and not 0 <= int(units.min()) <= int(units.max()) < self.count:
            raise RapportError(f"units reach from {units.min()} to {units.max()}: this voice has 0 to {self.count - 1}")
        return self._magnitudes[units].reshape(-1, BINS)

    def save(self, folder: str | Path) -> None:
        """Write the codebook and the settings to a folder or URI; `load_mel_units` gives them back."""
        metadata = {**self.codebook.metadata, "hearing": self.config.model_dump(mode="json")}
        Codebook(self.codebook.centroids, metadata).save(folder)

    @cached_property
    def _magnitudes(self) -> Floats:
        """[K, stacked frames, F]"""
        logs = self.codebook.centroids.reshape(self.count, self.config.stacked_frames, self.config.bands)
        return np.exp(logs @ _between_bands(self.config.bands)).astype(np.float32)


def load_mel_units(folder: str | Path) -> MelUnits:
    """The units that `MelUnits.save` wrote. Raises CodebookError when there are none."""
    codebook = load_codebook(folder)
    if "hearing" not in codebook.metadata:
        raise CodebookError(f"{folder} holds a codebook of {codebook.metadata.get('encoder')}: wanted one of stretches of mel spectrum")
    return MelUnits(codebook, HearingConfig.model_validate(codebook.metadata["hearing"]))


def fit_mel_units(clips: Iterable[npt.NDArray[np.floating]], rate_hz: int, config: HearingConfig, *, seed: int = 0) -> MelUnits:
    """A codebook of the clips [S], by k-means over their stretches; the same clips and seed give the same units.

    Raises RapportError when the clips hold no sound.
    """
    parts = [stretches(clip, rate_hz, config) for clip in clips]
    found = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
    if not len(found):
        raise RapportError(f"there is no sound in {len(parts)} clips to fit units on")
    if len(found) > config.max_stretches:
        rng = np.random.default_rng(seed)
        found = found[np.sort(rng.choice(len(found), config.max_stretches, replace=False))]
    distinct = np.unique(found, axis=0)
    centroids = distinct if len(distinct) <= config.clusters else choose_start(distinct, config.clusters, seed)
    distance = np.inf
    for _ in range(config.passes):
        step = merge([statistics(found, centroids)])
        centroids = full_step(centroids, step)
        if step.mean_distance >= distance * (1 - _TOLERANCE):
            break
        distance = step.mean_distance
    return MelUnits(Codebook(centroids, {"encoder": encoder_of(config)}), config)


def encoder_of(config: HearingConfig) -> dict[str, str]:
    """What a codebook is checked by."""
    return {"backend": "stacked mel", "format": FORMAT, "bands": str(config.bands), "stacked_frames": str(config.stacked_frames)}


def stretches(clip: npt.NDArray[np.floating], rate_hz: int, config: HearingConfig) -> Floats:
    """[U, stacked frames x M] log-mel spectra of a clip [S] at any level, its silent ends left out; none of a silent clip.

    Raises RapportError for samples that are not finite.
    """
    samples = np.asarray(clip, np.float32)
    if not np.isfinite(samples).all():
        raise RapportError("a clip holds samples that are not finite: wanted float32 within -1 to 1")
    peak = float(np.abs(samples).max(initial=0))
    width = config.stacked_frames * config.bands
    if not peak:
        return np.zeros((0, width), np.float32)
    speech = trim_silence(resample(samples * (_PEAK / np.float32(peak)), rate_hz, SAMPLE_RATE_HZ), margin_s=0.02)
    logs = np.log(magnitudes(np.pad(speech, WINDOW // 2)) @ mel_bands(config.bands) + _FLOOR)
    logs = np.pad(logs, ((0, -len(logs) % config.stacked_frames), (0, 0)), mode="edge")
    return logs.reshape(-1, width)


def magnitudes(samples: Floats) -> Floats:
    """[T, F] of samples [S >= WINDOW], a frame every HOP."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    return np.abs(rfft(frames * HANN, axis=1))


def mel_bands(bands: int) -> Floats:
    """[F, M] triangles from 0 to 8 kHz; each takes a mean, so that a level does not depend on the width of its band."""
    edges, hz = _edges_hz(bands), np.arange(BINS) * SAMPLE_RATE_HZ / WINDOW
    rise = (hz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - hz[:, None]) / (edges[2:] - edges[1:-1])
    weights = np.clip(np.minimum(rise, fall), 0, None)
    # The lowest of many bands may lie between two bins: it takes the nearer.
    empty = np.flatnonzero(weights.sum(0) == 0)
    weights[np.abs(hz[:, None] - edges[1:-1][empty]).argmin(0), empty] = 1
    return (weights / weights.sum(0)).astype(np.float32)


def _between_bands(bands: int) -> Floats:
    """[M, F] what makes a spectrum of bands again, by lines between their middles."""
    middles, hz = _edges_hz(bands)[1:-1], np.arange(BINS) * SAMPLE_RATE_HZ / WINDOW
    return np.stack([np.interp(hz, middles, row) for row in np.eye(bands)]).astype(np.float32)


def _edges_hz(bands: int) -> npt.NDArray[np.float64]:
    highest = 1127 * np.log1p(SAMPLE_RATE_HZ / 2 / 700)
    edges: npt.NDArray[np.float64] = 700 * np.expm1(np.linspace(0, highest, bands + 2) / 1127)
    return edges
