"""What makes features of clips on an actor: frames, or units with residuals.

Makers are made where they run, from settings alone. What is wrong with one clip is told of that clip; other errors rise.
"""

from collections.abc import Sequence

import numpy as np

from rapport.core.errors import RapportError
from rapport.core.speech import FrameEncoder
from rapport.datasets.features import Clip, Made, Refused
from rapport.datasets.residual_tree import read_residual_tree
from rapport.datasets.unit_store import stored_item
from rapport.models.units.config import FrameConfig
from rapport.models.units.front_end import FrontEnd, load_encoder, load_front_end
from rapport.ray_jobs.speech_features.config import UnitsConfig


class FramesMaker:
    """Frames of an encoder, as the field `frames` [T, D]."""

    def __init__(self, encoder: FrameEncoder, dtype: str) -> None:
        self.encoder, self.dtype = encoder, dtype

    def __call__(self, clips: Sequence[Clip]) -> list[Made | Refused]:
        """The frames of each clip."""
        frames = self.encoder.encode([clip.samples for clip in clips])
        return [_not_finite(values) or Made({"frames": values.astype(self.dtype)}, len(values)) for values in frames]


class UnitsMaker:
    """Units of a codebook, with residuals that are computed or read from a published tree."""

    def __init__(self, front_end: FrontEnd, config: UnitsConfig) -> None:
        self.front_end, self.config = front_end, config
        self.tree = read_residual_tree(config.residual_tree, config.audio_root) if config.residual_tree else None

    def __call__(self, clips: Sequence[Clip]) -> list[Made | Refused]:
        """The units of each clip."""
        frames = self.front_end.encoder.encode([clip.samples for clip in clips])
        return [self._make(clip, values) for clip, values in zip(clips, frames, strict=True)]

    def _make(self, clip: Clip, frames: np.ndarray) -> Made | Refused:
        if refused := _not_finite(frames):
            return refused
        speech = self.front_end.units_of(frames, residuals=self.config.residuals and not self.tree)
        item = stored_item(speech, self.config.residual_dtype)
        if self.tree and self.config.residuals:
            try:
                residuals = self.tree.get(clip.row.audio_path)
            except RapportError as error:
                return Refused("residuals_missing", str(error))
            if residuals.shape != frames.shape:
                found, wanted = list(residuals.shape), list(frames.shape)
                return Refused("residuals_differ", f"{self.tree.path_of(clip.row.audio_path)} is {found}: the clip's frames are {wanted}")
            item["residuals"] = residuals.astype(self.config.residual_dtype)
        return Made(item, len(speech.ids), len(speech.units))


def make_frames_maker(config: FrameConfig, dtype: str) -> FramesMaker:
    """A maker of frames, with its encoder loaded."""
    return FramesMaker(load_encoder(config), dtype)


def make_units_maker(codebook: str, config: UnitsConfig, device: str, batch_s: float) -> UnitsMaker:
    """A maker of units by the codebook in a folder, with the codebook's encoder loaded."""
    front_end = load_front_end(codebook, sign=config.residual_sign, source=config.encoder_source, device=device, batch_s=batch_s)
    return UnitsMaker(front_end, config)


def _not_finite(frames: np.ndarray) -> Refused | None:
    if np.isfinite(frames.sum()):
        return None
    return Refused("not_finite", f"the encoder gave {int((~np.isfinite(frames)).sum())} of {frames.size} numbers that are NaN or infinite")
