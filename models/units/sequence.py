"""Frame ids as a sequence of units, and units as text: `<sosp><41><7><655><eosp>`.

Axes: T frames, U units.
"""

import re

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError
from rapport.core.units import merge_runs
from rapport.models.units.config import UnitMode

BEGIN, END = "<sosp>", "<eosp>"
_TEXT = re.compile(rf"{BEGIN}((?:<(?:0|[1-9]\d*)>)*){END}")


def unit_sequence(
    ids: npt.NDArray[np.integer], mode: UnitMode = "merged", every: int = 4
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Units [U] of frame ids [T], and the frames that each stands for [U], which sum to T.

    `merged` makes one unit of each run of equal ids, `downsample` takes every `every`-th id from the first on, `raw` takes all.
    """
    if mode == "merged":
        return merge_runs(ids)
    if mode not in ("downsample", "raw"):
        raise RapportError(f"unit_mode is {mode!r}: wanted merged, downsample or raw")
    starts = np.arange(0, len(ids), every if mode == "downsample" else 1)
    return np.asarray(ids)[starts].astype(np.int32), np.diff(starts, append=len(ids)).astype(np.int32)


def units_to_text(units: npt.NDArray[np.integer]) -> str:
    """The units as the text of which a language model's tokens are made, decimal and without spaces."""
    return BEGIN + "".join(f"<{unit}>" for unit in units.tolist()) + END


def text_to_units(text: str) -> npt.NDArray[np.int32]:
    """The units [U] that `units_to_text` wrote.

    Raises RapportError for a text of another form.
    """
    found = _TEXT.fullmatch(text)
    if not found:
        raise RapportError(f"{text[:60]!r} is no sequence of units: wanted a form such as {BEGIN}<41><7>{END}")
    return np.array(re.findall(r"\d+", found[1]), np.int32)
