"""Eyes: pictures to features. Frozen, whatever they are, so that a picture has one feature for good.

Axes: N pictures, H height, W width, F features.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError
from rapport.models.spolacq.config import EyesConfig

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

# Raise this when the same picture would come out as another feature.
FORMAT = "1"

_SIDE = 32  # pixels a side on which everything is measured
_CELLS = 4  # a side, of the grid of mean colours and edges
_HUES, _EDGES = 12, 6
_BORDER = 2  # pixels: the ring that tells the background


class Eyes(Protocol):
    """What sees."""

    @property
    def width(self) -> int:
        """F."""
        ...

    @property
    def identity(self) -> Mapping[str, str]:
        """Kind and weights: equal identities give equal features."""
        ...

    def see(self, pictures: Sequence[Picture]) -> Floats:
        """Features, float32 [N, F], of pictures, uint8 [H, W, 3] of any size; a row does not depend on the rows beside it."""
        ...


def load_eyes(config: EyesConfig, *, source: str = "", device: str = "cpu") -> Eyes:
    """The eyes that the settings name; `source` tells where their weights lie now, when not where the settings say.

    Raises RapportError when weights cannot be loaded.
    """
    if config.kind == "embedded":
        return EmbeddedEyes()
    from rapport.models.spolacq.dino import DinoEyes

    return DinoEyes(config, source=source or config.source, device=device)


def check_picture(picture: Picture) -> Picture:
    """The picture, when it is one. Raises RapportError for anything but uint8 [H, W, 3] with at least a pixel."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        found = f"{picture.dtype} {list(picture.shape)}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise RapportError(f"a picture is {found}: wanted uint8 [H, W, 3]")
    return picture


class EmbeddedEyes:
    """Colours and edges, measured: where which colour lies, of which hues the thing is, and which way its edges run.

    What differs from the border counts as the thing, so that hues and form do not depend on the background.
    """

    width = 3 * _CELLS**2 + _EDGES * _CELLS**2 + _HUES + 6 + 2
    """Mean colours of the grid, edges of the grid, hues, mean colour of the whole and of the thing, its area and saturation."""

    @property
    def identity(self) -> Mapping[str, str]:
        """There are no weights."""
        return {"kind": "embedded", "format": FORMAT}

    def see(self, pictures: Sequence[Picture]) -> Floats:
        """Features [N, F], each within about -2 to 2."""
        return np.array([self._feature(check_picture(p)) for p in pictures], np.float32).reshape(len(pictures), self.width)

    def _feature(self, picture: Picture) -> npt.NDArray[np.float64]:
        small = shrink(picture, _SIDE) / 255  # [32, 32, 3]
        thing = _foreground(small)  # [32, 32]
        colours = _cells(small) - 0.5  # [16, 3]
        weight = thing.sum() + 1e-6
        own = (small * thing[..., None]).sum((0, 1)) / weight - 0.5
        hues, saturation = _hues(small, thing)
        parts = (
            2 * colours.ravel(),
            _edges(small).ravel(),
            2 * hues,
            2 * (small.mean((0, 1)) - 0.5),
            2 * own,
            np.array([2 * thing.mean(), saturation]),
        )
        return np.concatenate(parts)


def shrink(picture: Picture, side: int) -> npt.NDArray[np.float64]:
    """The picture [side, side, 3] as means over areas, at any size of the picture, in levels 0 to 255."""
    rows = np.tensordot(_areas(picture.shape[0], side), picture.astype(np.float64), 1)  # [side, W, 3]
    return np.tensordot(_areas(picture.shape[1], side), rows, (1, 1)).transpose(1, 0, 2)


@cache
def _areas(size: int, side: int) -> npt.NDArray[np.float64]:
    """[side, size] the share of each pixel in each area."""
    edges = np.linspace(0, size, side + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(overlap, 0, None) * (side / size)


def _foreground(small: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[32, 32] how much each place differs from the border, 0 to 1."""
    inner = small[_BORDER:-_BORDER, _BORDER:-_BORDER]
    ring = np.ones(small.shape[:2], bool)
    ring[_BORDER : _BORDER + len(inner), _BORDER : _BORDER + len(inner)] = False
    background = np.median(small[ring], axis=0)
    return np.clip(np.abs(small - background).max(-1) / 0.2 - 0.5, 0, 1)


def _cells(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[16, C] means over the cells of the grid."""
    step = _SIDE // _CELLS
    return values.reshape(_CELLS, step, _CELLS, step, -1).mean((1, 3)).reshape(_CELLS**2, -1)


def _hues(small: npt.NDArray[np.float64], thing: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Shares of the hues [12] in the thing, by how coloured each place is, and its mean saturation."""
    high, low = small.max(-1), small.min(-1)
    chroma = high - low
    red, green, blue = np.moveaxis(small, -1, 0)
    # The hexagonal hue in turns; grey places have none, and weigh nothing.
    angle = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi) % 1
    place = angle * _HUES
    lower = np.floor(place).astype(int) % _HUES
    upper_share = place - np.floor(place)
    weights = chroma * thing
    counts = np.bincount(lower.ravel(), (weights * (1 - upper_share)).ravel(), _HUES)
    counts += np.bincount((lower.ravel() + 1) % _HUES, (weights * upper_share).ravel(), _HUES)
    area = thing.sum() + 1e-6
    return counts / (weights.sum() + 0.02 * area + 1e-6), float(weights.sum() / area)


def _edges(small: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[16, 6] strength of edges in each cell by the way they run."""
    grey = np.pad(small.mean(-1), 1, mode="edge")
    across, down = grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1]
    strength = np.hypot(across, down)
    way = np.floor(np.arctan2(down, across) / np.pi % 1 * _EDGES).astype(int) % _EDGES
    planes = (way[..., None] == np.arange(_EDGES)) * strength[..., None]
    return np.sqrt(_cells(planes)) * 2
