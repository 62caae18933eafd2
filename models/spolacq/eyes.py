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
Values = npt.NDArray[np.float64]

# Raise this when the same picture would come out as another feature.
FORMAT = "1"

_SIDE = 64  # pixels a side on which everything is measured
_BORDER = 3  # pixels: the ring that tells the background
_CELLS = 3  # a side, of the grid of mean colours
_HUES, _EDGES, _RINGS = 18, 8, 8
_TURNS = (2, 3, 4, 5, 6)  # of the symmetries that tell forms apart


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
    """Colours and forms, measured: where which colour lies, of which hues and brightness the thing is, how it is shaped and textured.

    What differs from the border counts as the thing, and its form is told in ways that neither place nor size nor turn change.
    """

    width = 3 * _CELLS**2 + 6 + _HUES + 4 + _EDGES + _RINGS + len(_TURNS)
    """Mean colours of the grid, of the whole and of the thing; its hues; area, saturation, contrast and texture; edges; form."""

    @property
    def identity(self) -> Mapping[str, str]:
        """There are no weights."""
        return {"kind": "embedded", "format": FORMAT}

    def see(self, pictures: Sequence[Picture]) -> Floats:
        """Features [N, F], each within about -2 to 2."""
        return np.array([_feature(check_picture(p)) for p in pictures], np.float32).reshape(len(pictures), self.width)


def _feature(picture: Picture) -> Values:
    small = shrink(picture, _SIDE) / 255  # [64, 64, 3]
    thing = _foreground(small)  # [64, 64]
    area = thing.sum() + 1e-6
    own = (small * thing[..., None]).sum((0, 1)) / area
    grey = small.mean(-1)
    contrast = np.sqrt((thing * (grey - own.mean()) ** 2).sum() / area)
    hues, saturation = _hues(small, thing)
    edges, texture = _edges(grey, thing)
    parts = (
        2 * _cells(small).ravel() - 1,
        2 * small.mean((0, 1)) - 1,
        2 * own - 1,
        2 * hues,
        np.array([2 * thing.mean(), 2 * saturation, 5 * contrast, texture]),
        edges,
        *_form(thing),
    )
    return np.concatenate(parts)


def shrink(picture: Picture, side: int) -> Values:
    """The picture [side, side, 3] as means over areas, at any size of the picture, in levels 0 to 255."""
    rows = np.tensordot(_areas(picture.shape[0], side), picture.astype(np.float64), 1)  # [side, W, 3]
    return np.tensordot(_areas(picture.shape[1], side), rows, (1, 1)).transpose(1, 0, 2)


@cache
def _areas(size: int, side: int) -> Values:
    """[side, size] the share of each pixel in each area."""
    edges = np.linspace(0, size, side + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(overlap, 0, None) * (side / size)


def _foreground(small: Values) -> Values:
    """[64, 64] how much each place differs from the border, 0 to 1."""
    ring = np.ones(small.shape[:2], bool)
    ring[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    background = np.median(small[ring], axis=0)
    return np.clip(np.abs(small - background).max(-1) / 0.2 - 0.5, 0, 1)


def _cells(small: Values) -> Values:
    """[9, 3] mean colours of the cells of a grid."""
    share = _areas(_SIDE, _CELLS)
    return np.einsum("iw,jwc->ijc", share, np.tensordot(share, small, 1)).reshape(_CELLS**2, 3)


def _hues(small: Values, thing: Values) -> tuple[Values, float]:
    """Shares of the hues [18] in the thing, by how coloured each place is, and its mean saturation."""
    chroma = small.max(-1) - small.min(-1)
    red, green, blue = np.moveaxis(small, -1, 0)
    # Hue in turns; grey places have none, and weigh nothing.
    place = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi) % 1 * _HUES
    weights = chroma * thing
    total = weights.sum()
    return _soft_counts(place, weights, _HUES) / (total + 0.02 * thing.sum() + 1e-6), float(total / (thing.sum() + 1e-6))


def _edges(grey: Values, thing: Values) -> tuple[Values, float]:
    """Shares of the ways [8] that edges run, and how strong they are within the thing."""
    padded = np.pad(grey, 1, mode="edge")
    across, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    strength = np.hypot(across, down)
    counts = _soft_counts(np.arctan2(down, across) / np.pi % 1 * _EDGES, strength, _EDGES)
    inside = np.where(thing >= 1, strength, 0).sum() / ((thing >= 1).sum() + 1)
    return counts / (strength.sum() + 1.0), float(5 * inside)


def _form(thing: Values) -> tuple[Values, Values]:
    """How the thing's mass lies around its middle: shares of rings [8] by distance, and the strength of its symmetries [5]."""
    mass = thing.sum() + 1e-6
    y, x = np.mgrid[:_SIDE, :_SIDE].astype(np.float64)
    y, x = y - (y * thing).sum() / mass, x - (x * thing).sum() / mass
    # A disc of the same mass ends at 1, whatever its size.
    distance = np.hypot(y, x) / np.sqrt(mass / np.pi)
    near = distance < 2
    rings = _soft_counts(distance[near] / 2 * (_RINGS - 1), thing[near], _RINGS) / mass
    weights, angle = thing * np.minimum(distance, 3) ** 2, np.arctan2(y, x)
    turns = [abs((weights * np.exp(1j * count * angle)).sum()) / (weights.sum() + 1e-6) for count in _TURNS]
    return 3 * rings, 3 * np.array(turns)


def _soft_counts(places: Values, weights: Values, size: int) -> Values:
    """[size] weights, each shared by the two counts on either side of its place; the last is beside the first."""
    lower, places = np.floor(places).astype(int).ravel(), places.ravel()
    upper_share, weights = places - lower, weights.ravel()
    counts = np.zeros(size)
    counts += np.bincount(lower % size, weights * (1 - upper_share), size)
    counts += np.bincount((lower + 1) % size, weights * upper_share, size)
    return counts
