"""Log-mel spectra, 100 frames a second: what many networks take as their input."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.backends.frames.cepstra import WINDOW, mel_filters, power_spectra
from rapport.models.units.config import FrameConfig

FORMAT = "1"

_HOP = 160  # samples: 10 ms
_FLOOR = np.float32(1e-8)


def load(config: FrameConfig) -> "LogMelEncoder":
    """The encoder with the settings `config.logmel`."""
    return LogMelEncoder(config.logmel.bands)


class LogMelEncoder:
    """A `rapport.core.speech.FrameEncoder`."""

    def __init__(self, bands: int = 80) -> None:
        self.width = bands
        self.hop_s = _HOP / SAMPLE_RATE_HZ
        self._mels = mel_filters(bands)

    @property
    def provenance(self) -> Mapping[str, str]:
        """The number of bands; there are no weights."""
        return {"backend": "logmel", "format": FORMAT, "bands": str(self.width)}

    def encode(self, clips: Sequence[npt.NDArray[np.floating]]) -> list[npt.NDArray[np.float32]]:
        """Natural logarithms of power, float32 [T, D], of each clip [S] at 16 kHz; below 25 ms as if silence followed."""
        padded = (np.pad(np.asarray(clip, np.float32), (0, max(0, WINDOW - len(clip)))) for clip in clips)
        return [np.log(power_spectra(clip, _HOP) @ self._mels + _FLOOR) for clip in padded]
