"""From speech to units, whatever hears: the embedded codebook of mel spectra, or syllables of S5-HuBERT."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.models.spolacq.config import HearingConfig
from rapport.models.spolacq.mel_units import fit_mel_units


class SpeechToUnits(Protocol):
    """What hears units."""

    @property
    def count(self) -> int:
        """K: units are 0 to K - 1."""
        ...

    @property
    def identity(self) -> str:
        """Equal identities give equal units."""
        ...

    def hear(self, clips: Sequence[npt.NDArray[np.floating]], rate_hz: int = SAMPLE_RATE_HZ) -> list[npt.NDArray[np.int32]]:
        """Units [U] of each clip [S]; empty for silence. A clip's do not depend on the clips beside it."""
        ...


def load_hearing(
    config: HearingConfig, clips: Iterable[npt.NDArray[np.floating]], rate_hz: int, *, seed: int = 0, device: str = "cpu"
) -> SpeechToUnits:
    """What hears as the settings say: the embedded units are fitted on the clips [S], pretrained ones do not look at them.

    Raises RapportError when there is no sound to fit on, or weights cannot be loaded.
    """
    if config.kind == "embedded":
        return fit_mel_units(clips, rate_hz, config, seed=seed)
    from rapport.models.spolacq.s5hubert import load_s5hubert

    return load_s5hubert(config, device=device)
