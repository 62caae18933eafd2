"""eGeMAPS through openSMILE: 25 descriptors every 10 ms, or 88 functionals in one frame that stands for the whole clip."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import opensmile

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.units.config import FrameConfig

_SHORTEST = SAMPLE_RATE_HZ // 5  # samples; openSMILE finds no frame of its longest window in less
_LEVELS = {"functionals": opensmile.FeatureLevel.Functionals, "descriptors": opensmile.FeatureLevel.LowLevelDescriptors}


def load(config: FrameConfig) -> "EgemapsEncoder":
    """The encoder with the settings `config.egemaps`."""
    return EgemapsEncoder(config.egemaps.level)


class EgemapsEncoder:
    """A `rapport.core.speech.FrameEncoder`; of functionals T is 1 and the hop is 0."""

    def __init__(self, level: str = "functionals") -> None:
        self.level = level
        self._smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, _LEVELS[level])

    @property
    def width(self) -> int:
        """D: 88 functionals or 25 descriptors."""
        return len(self._smile.feature_names)

    @property
    def hop_s(self) -> float:
        """10 ms, or 0 for functionals."""
        return 0.0 if self.level == "functionals" else 0.01

    @property
    def provenance(self) -> Mapping[str, str]:
        """The feature set and the version of openSMILE."""
        return {"backend": "egemaps", "set": "eGeMAPSv02", "level": self.level, "opensmile": opensmile.__version__}

    def encode(self, clips: Sequence[npt.NDArray[np.floating]]) -> list[npt.NDArray[np.float32]]:
        """Features, float32 [T, D], of each clip [S] at 16 kHz; a clip below 200 ms is taken as if silence followed."""
        padded = (np.pad(clip, (0, max(0, _SHORTEST - len(clip)))) for clip in clips)
        return [self._smile.process_signal(clip, SAMPLE_RATE_HZ).to_numpy(np.float32) for clip in padded]
