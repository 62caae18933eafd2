"""Units of pretraining clips: each clip is encoded once, by whatever encoder is handed in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rapport.core import storage
from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.datasets.agent_data.speech import CLIPS, RATE_HZ, read_clip
from rapport.datasets.agent_data.work import Row

OUTCOMES = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("units", pa.list_(pa.int32())),
        pa.field("reason", pa.string()),  # clips that cannot be used: no_units
        pa.field("message", pa.string()),
    ]
)
CLIPS_WITH_UNITS = CLIPS.append(OUTCOMES.field("units"))
"""`clips.parquet` beside units."""


class UnitEncoder(Protocol):
    """What turns speech into units."""

    @property
    def identity(self) -> str:
        """Stands for encoder and codebook: equal identities give equal units."""
        ...

    def hear(self, clips: Sequence[npt.NDArray[np.floating]], rate_hz: int = SAMPLE_RATE_HZ) -> list[npt.NDArray[np.int32]]:
        """Units [U] of each clip [S]; empty for silence. Those of a clip do not depend on the clips beside it."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedUnits:
    """A clip to be encoded."""

    path: str
    """Below the folder of the data."""
    sha256: str


class UnitMaker:
    """Encodes the clips of a chunk, which lie below `folder`."""

    def __init__(self, open_encoder: Callable[[], UnitEncoder], folder: str) -> None:
        self.encoder, self.folder = open_encoder(), folder

    def __call__(self, planned: Sequence[Mapping[str, Any]]) -> list[Row]:
        """The units of every clip, in one batch."""
        clips = [read_clip(storage.join(self.folder, one["path"])) for one in planned]
        rows: list[Row] = []
        for one, units in zip(planned, self.encoder.hear(clips, RATE_HZ), strict=True):
            if len(units):
                rows.append({**one, "units": np.asarray(units, np.int32), "reason": None})
            else:
                rows.append({**one, "reason": "no_units", "message": f"{self.encoder.identity} hears nothing in it"})
        return rows
