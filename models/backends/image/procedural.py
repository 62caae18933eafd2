"""Drawn pictures: an item has a colour, a shape and a texture that follow from its name, and every picture of it differs in size, place,
turn, light and shade of colour. A colour in the name, as in `green_pepper`, is the item's colour.

Items lie on white, as the published prompts ask for. `balanced` draws the background's brightness instead, from black to white, so that a
picture's mean colour tells little of the item.
"""

import colorsys
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rapport.core.errors import RapportError
from rapport.models.backends.image._seeds import look_of, variation_of
from rapport.simulator.requests import PictureRequest, Result

_NAMED_HUES = {
    "red": 0.0, "orange": 0.08, "brown": 0.07, "yellow": 0.15, "green": 0.33, "blue": 0.61, "purple": 0.78, "pink": 0.92,
}  # fmt: skip
_GREYS = {"white": 0.85, "grey": 0.55, "gray": 0.55, "black": 0.15}
_SHAPES = ("disc", "box", "triangle", "ring", "cross", "bar", "star", "crescent")
_TEXTURES = ("plain", "stripes", "dots")


@dataclass(frozen=True, slots=True)
class Look:
    """What all pictures of an item share."""

    hue: float
    saturation: float
    value: float
    shape: str
    texture: str


def load(background: str = "white") -> "ProceduralPictures":
    """The maker, with a background that is `white` or `balanced`. Raises RapportError for another one."""
    if background not in ("white", "balanced"):
        raise RapportError(f"pictures procedural:{background}: the background is white or balanced")
    return ProceduralPictures(balanced=background == "balanced")


class ProceduralPictures:
    """A `rapport.simulator.requests.Service` for picture requests."""

    deterministic = True
    unread = ("item_id", "prompt")

    def __init__(self, *, balanced: bool = False) -> None:
        self._balanced = balanced
        self.version = f"procedural 1 {'balanced' if balanced else 'white'}"

    def batch(self, requests: Sequence[PictureRequest]) -> list[Result]:
        """A picture, uint8 [H, W, 3], for each request."""
        return [_draw(request, self._balanced) for request in requests]


@lru_cache(maxsize=4096)
def look_for(name: str) -> Look:
    """How an item of that name looks."""
    rng = look_of(name)
    hue, saturation, value = rng.random(), rng.uniform(0.6, 1.0), rng.uniform(0.4, 0.95)
    shape, texture = str(rng.choice(_SHAPES)), str(rng.choice(_TEXTURES))
    for word in re.split(r"[_\s]+", name.lower()):
        if word in _NAMED_HUES:
            hue = _NAMED_HUES[word]
            value = min(value, 0.5) if word == "brown" else value
        elif word in _GREYS:
            saturation, value = 0.04, _GREYS[word]
    return Look(float(hue), float(saturation), float(value), shape, texture)


def _draw(request: PictureRequest, balanced: bool) -> np.ndarray:
    look, rng = look_for(request.name), variation_of(request)
    # Drawn in this order whatever the background, so that `balanced` changes nothing else.
    size, angle = rng.uniform(0.5, 0.8), rng.uniform(-0.5, 0.5)
    centre = rng.uniform(-0.15, 0.15, 2)
    shade = np.array([rng.normal(0, 0.012), rng.normal(0, 0.05), rng.normal(0, 0.06)])
    light, grey, grain = rng.uniform(-0.2, 0.2, 2), rng.random(), rng.normal(0, 0.012, (request.height, request.width, 1))
    # Coordinates of the item itself: [H, W] each, about -1 to 1 across it.
    side = min(request.height, request.width)
    rows = (2 * np.arange(request.height) + 1 - request.height) / side
    columns = (2 * np.arange(request.width) + 1 - request.width) / side
    y, x = np.meshgrid(rows - centre[0], columns - centre[1], indexing="ij")
    u = (np.cos(angle) * x + np.sin(angle) * y) / size
    v = (np.cos(angle) * y - np.sin(angle) * x) / size
    inside = np.clip(0.5 - _distance(look.shape, u, v) * size * side / 2, 0, 1)[..., None]  # one pixel of soft edge
    hue, saturation, value = np.array([look.hue, look.saturation, look.value]) + shade
    colour = np.array(colorsys.hsv_to_rgb(hue % 1, float(np.clip(saturation, 0, 1)), float(np.clip(value, 0.08, 1))))
    body = colour * (1 + light[0] * u + light[1] * v - 0.35 * _texture(look.texture, u, v))[..., None]
    ground = grey if balanced else 0.97
    picture = inside * body + (1 - inside) * ground + grain
    return np.asarray(np.clip(np.rint(255 * picture), 0, 255), np.uint8)


def _distance(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """[H, W] how far outside the outline a point lies, in half sizes of the item; negative inside. Near the outline it is a distance."""
    radius = np.hypot(u, v)
    if shape == "disc":
        return radius - 0.8
    if shape == "box":
        return np.maximum(np.abs(u), np.abs(v)) - 0.7
    if shape == "triangle":
        return np.maximum(v - 0.55, 0.87 * np.abs(u) - 0.5 * v - 0.45)
    if shape == "ring":
        return np.abs(radius - 0.6) - 0.25
    if shape == "cross":
        wide, high = np.maximum(np.abs(u) - 0.85, np.abs(v) - 0.3), np.maximum(np.abs(u) - 0.3, np.abs(v) - 0.85)
        return np.minimum(wide, high)
    if shape == "bar":
        return np.maximum(np.abs(u) - 0.95, np.abs(v) - 0.32)
    if shape == "star":
        return radius - 0.65 - 0.22 * np.cos(5 * np.arctan2(u, -v))
    crescent: np.ndarray = np.maximum(radius - 0.85, 0.7 - np.hypot(u - 0.1, v + 0.55))
    return crescent


def _texture(texture: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """[H, W] darkness of the pattern, 0 to 1."""
    if texture == "stripes":
        return 0.5 + 0.5 * np.sin(12 * u)
    if texture == "dots":
        dots: np.ndarray = np.clip(2 * np.sin(9 * u) * np.sin(9 * v), 0, 1)
        return dots
    return np.zeros_like(u)
