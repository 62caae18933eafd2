"""From speech to units and residuals in one go: an encoder and the codebook that was fitted on its frames.

hear = load_front_end("~/rapport/features/units/embedded")
units = hear([samples])[0]                    # SpeechUnits: ids [T], units [U], runs [U], residuals [T, D]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core import plugins
from rapport.core.config import with_values
from rapport.core.speech import FrameEncoder
from rapport.core.units import ResidualSign, SpeechUnits
from rapport.models.units.codebook import Codebook, load_codebook
from rapport.models.units.config import FrameConfig

# Facts of one machine, no part of what a codebook was fitted on.
_LOCAL = {"batch_s", "device"}


def load_encoder(config: FrameConfig) -> FrameEncoder:
    """The encoder that the settings name.

    Raises RapportError for a back-end that does not exist, or weights that cannot be loaded.
    """
    encoder: FrameEncoder = plugins.load("models.backends.frames", config.backend).load(config)
    return encoder


def describe_encoder(encoder: FrameEncoder, config: FrameConfig) -> dict[str, Any]:
    """What a codebook keeps about its encoder: the identity that is checked, and the settings that load it again."""
    return {"encoder": dict(encoder.provenance), "frames": config.model_dump(mode="json", exclude=_LOCAL), "hop_s": encoder.hop_s}


def frames_of(codebook: Codebook, *, source: str = "", device: str = "auto", batch_s: float | None = None) -> FrameConfig:
    """The settings of a codebook's encoder; `source` tells where its weights lie now, when not where they lay then."""
    config = FrameConfig.model_validate({**codebook.metadata["frames"], "device": device})
    changes = {"transformer.source": source} if source else {}
    return with_values(config, {**changes, **({"batch_s": batch_s} if batch_s else {})})


class FrontEnd:
    """Speech in, units and residuals out. Raises CodebookError when encoder and codebook do not belong together."""

    def __init__(self, encoder: FrameEncoder, codebook: Codebook, sign: ResidualSign = "centroid-frame") -> None:
        codebook.check_encoder(encoder.provenance)
        self.encoder, self.codebook, self.sign = encoder, codebook, sign

    def __call__(self, clips: Sequence[npt.NDArray[np.float32]], *, residuals: bool = True) -> list[SpeechUnits]:
        """The units of each clip of 16 kHz speech, float32 [S], with float32 residuals [T, D] unless they are not wanted."""
        return [self.units_of(frames, residuals=residuals) for frames in self.encoder.encode(clips)]

    def units_of(self, frames: npt.NDArray[np.float32], *, residuals: bool = True) -> SpeechUnits:
        """The units of the encoder's frames [T, D] of one clip."""
        ids = self.codebook.assign(frames)
        return SpeechUnits.of(ids, self.codebook.residuals(frames, ids, self.sign) if residuals else None)


def load_front_end(
    folder: str | Path, *, sign: ResidualSign = "centroid-frame", source: str = "", device: str = "auto", batch_s: float | None = None
) -> FrontEnd:
    """The front end of a codebook folder (path or URI), with the encoder it was fitted on.

    `source` tells where a pretrained encoder's weights lie now. Raises CodebookError when they are other weights.
    """
    codebook = load_codebook(folder)
    return FrontEnd(load_encoder(frames_of(codebook, source=source, device=device, batch_s=batch_s)), codebook, sign)
