"""A drawn head that takes any pose: its shape, which the script of a page draws too, and pictures of it from numpy alone.

The head is a few ellipsoids that flow into one another. Seen from far in front, the line of sight through a pixel meets each of them
where a quadratic is solved, so neither a mesh nor a graphics library is needed. Axes and signs are those of `rapport.core.pose`: x leads
from the head to the viewer, y to its left ear and to the right of the picture, z up. One unit is about half the height of the head.
`head.js` beside this file draws the same, pixel by pixel.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rapport.core.pose import rotation

Floats = npt.NDArray[np.floating[Any]]
Colour = tuple[int, int, int]
Paint = Literal["skin", "neck", "lip", "eye", "brow", "hair", "shirt"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One ellipsoid."""

    paint: Paint
    centre: Triple
    radii: Triple
    tilt_deg: Triple = (0.0, 0.0, 0.0)
    """Roll, pitch and yaw of the ellipsoid in the head."""
    soft: float = 0.01
    """Depth over which it flows into the parts before it. A part whose outline lies nearer to what is behind it shows a seam."""
    fixed: bool = False
    """Belongs to the body, which stays where it is."""


def _pair(paint: Paint, centre: Triple, radii: Triple, tilt_deg: Triple = (0.0, 0.0, 0.0), soft: float = 0.01) -> tuple[Part, Part]:
    """A part of the left side and its mirror image."""
    (x, y, z), (roll, pitch, yaw) = centre, tilt_deg
    return Part(paint, centre, radii, tilt_deg, soft), Part(paint, (x, -y, z), radii, (-roll, pitch, -yaw), soft)


PARTS: tuple[Part, ...] = (
    Part("shirt", (-0.3, 0.0, -1.94), (0.5, 1.14, 0.64), fixed=True),
    Part("neck", (-0.24, 0.0, -1.1), (0.34, 0.36, 0.75), soft=0.06, fixed=True),
    # skull, face, chin
    Part("skin", (-0.12, 0.0, 0.2), (0.86, 0.76, 0.8), soft=0.04),
    Part("skin", (0.06, 0.0, -0.2), (0.68, 0.66, 0.74), soft=0.25),
    Part("skin", (0.26, 0.0, -0.66), (0.34, 0.32, 0.25), soft=0.2),
    # bridge and tip of the nose, mouth, ears
    Part("skin", (0.7, 0.0, -0.12), (0.11, 0.075, 0.2), (0.0, -20.0, 0.0), soft=0.12),
    Part("skin", (0.79, 0.0, -0.22), (0.13, 0.12, 0.1), soft=0.06),
    *_pair("lip", (0.6, 0.09, -0.49), (0.08, 0.15, 0.042), (16.0, 0.0, 15.0), soft=0.03),
    *_pair("skin", (-0.1, 0.76, -0.06), (0.17, 0.085, 0.22), (10.0, 8.0, 30.0), soft=0.06),
    # eyes, their lids, brows
    *_pair("eye", (0.59, 0.29, 0.02), (0.19, 0.19, 0.2)),
    *_pair("skin", (0.54, 0.29, 0.17), (0.21, 0.215, 0.13), (0.0, -10.0, 0.0), soft=0.03),
    *_pair("brow", (0.58, 0.3, 0.38), (0.1, 0.19, 0.04), (4.0, 0.0, 24.0), soft=0.03),
    # hair, which is parted
    Part("hair", (-0.26, 0.0, 0.32), (0.84, 0.84, 0.8), soft=0.03),
    Part("hair", (0.04, -0.18, 0.76), (0.66, 0.62, 0.34), (10.0, 12.0, 0.0), soft=0.12),
)
# Where the neck bends, so that a nod carries the face forwards and down.
_PIVOT = (-0.2, 0.0, -0.85)
# Hair and shirt take the colour of the motion, brows a darker one.
_COLOURS: dict[str, Colour] = {
    "skin": (246, 198, 166),
    "neck": (226, 176, 145),
    "lip": (214, 116, 106),
    "white": (250, 249, 246),
    "iris": (84, 62, 50),
    "pupil": (18, 15, 15),
}
_BROW = 0.6
# Cosines of the half angles of iris and pupil about the way the head faces, and of the glint about the middle of light and viewer.
_IRIS, _PUPIL, _GLINT = 0.84, 0.96, 0.982
# The picture shows this much above and below its middle.
_VIEW, _MIDDLE = 1.45, -0.22
_LIGHT = (0.82, -0.38, 0.36)
# Share of the colour that is seen in the dark, lit by the sky and lit by the lamp; white that is added as shine and at the edge.
_AMBIENT, _SKY, _LAMP, _SHINE, _EDGE = 0.56, 0.14, 0.4, 0.1, 0.12
_FAR = -9.0


def head_shape() -> dict[str, Any]:
    """The same head as plain JSON values, for the script of a page."""
    parts = [
        {"paint": p.paint, "centre": p.centre, "radii": p.radii, "axes": _axes(p).round(6).tolist(), "soft": p.soft, "fixed": p.fixed}
        for p in PARTS
    ]
    light = {"towards": _LIGHT, "ambient": _AMBIENT, "sky": _SKY, "lamp": _LAMP, "shine": _SHINE, "edge": _EDGE}
    eye = {"iris": _IRIS, "pupil": _PUPIL, "glint": _GLINT}
    return {
        "parts": parts,
        "pivot": _PIVOT,
        "colours": _COLOURS,
        "brow": _BROW,
        "eye": eye,
        "light": light,
        "view": _VIEW,
        "middle": _MIDDLE,
        "far": _FAR,
    }


def head_script() -> str:
    """JavaScript whose `headPainter(shape, size)` draws the head of `head_shape` in a page."""
    return Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def draw_head(degrees: npt.ArrayLike, size: int, tint: Colour, *, oversampling: int = 2) -> npt.NDArray[np.uint8]:
    """RGBA [size, size, 4] of a head with roll, pitch and yaw [3] in degrees, on nothing; hair and shirt have the colour `tint`.

    Each pixel is the mean of `oversampling` ** 2, which smooths the outline.
    """
    fine = size * oversampling
    canvas = _Canvas(fine, rotation(degrees).as_matrix()[0], tint)
    for part in PARTS:
        canvas.add(part)
    picture = canvas.lit().reshape(4, size, oversampling, size, oversampling).mean((2, 4))
    # Colours were taken times their coverage, so that what lies behind the head has no part in them.
    picture[:3] /= np.maximum(picture[3], 1e-6)
    return np.ascontiguousarray((255 * picture).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


class _Canvas:
    """What is seen so far, plane by plane: depth towards the viewer, normal and colour of the surface."""

    def __init__(self, size: int, turn: npt.NDArray[np.float64], tint: Colour) -> None:
        self.turn, self.pixel = turn, 2 * _VIEW / size
        self.tint = np.asarray(tint, np.float32)[:, None, None] / 255
        self.depth = np.full((size, size), _FAR, np.float32)
        self.normal = np.zeros((3, size, size), np.float32)
        self.colour = np.zeros((3, size, size), np.float32)
        middles = (np.arange(size, dtype=np.float32) + 0.5) * self.pixel - _VIEW
        self.y, self.z = middles[None, :], (_MIDDLE - middles)[:, None]

    def add(self, part: Part) -> None:
        axes, centre, pivot = _axes(part), np.asarray(part.centre), np.asarray(_PIVOT)
        if not part.fixed:
            axes, centre = self.turn @ axes, pivot + self.turn @ (centre - pivot)
        box = self._box(centre, np.sqrt(axes**2 @ np.square(part.radii)))
        form = ((axes / np.square(part.radii)) @ axes.T).astype(np.float32)
        y, z = self.y[:, box[1]] - np.float32(centre[1]), self.z[box[0]] - np.float32(centre[2])
        # The surface is form[x, y, z] = 1, of which the nearer solution for x is seen.
        half = form[0, 1] * y + form[0, 2] * z
        rest = form[1, 1] * y * y + (2 * form[1, 2]) * y * z + form[2, 2] * z * z - 1
        inside = half * half - form[0, 0] * rest
        x = (np.sqrt(np.maximum(inside, 0)) - half) / form[0, 0]
        normal = np.stack([row[0] * x + row[1] * y + row[2] * z for row in form])
        normal /= np.sqrt((normal * normal).sum(0))

        behind, here = self.depth[box], x + np.float32(centre[0])
        share = (0.5 + (here - behind) / np.float32(2 * part.soft)).clip(0, 1) * (inside > 0)
        self.depth[box] = behind + (here - behind) * share + np.float32(part.soft) * share * (1 - share)
        for planes, new in ((self.normal, normal), (self.colour, self._paint(part, normal))):
            planes[:, *box] += (new - planes[:, *box]) * share

    def _box(self, centre: npt.NDArray[np.float64], reach: npt.NDArray[np.float64]) -> tuple[slice, slice]:
        """Rows and columns that the part can cover."""
        size = len(self.depth)
        low, high = (int(np.clip((_VIEW + centre[1] + side * reach[1]) / self.pixel + side, 0, size)) for side in (-1, 1))
        top, bottom = (int(np.clip((_VIEW + _MIDDLE - centre[2] + side * reach[2]) / self.pixel + side, 0, size)) for side in (-1, 1))
        return slice(top, bottom), slice(low, high)

    def _paint(self, part: Part, normal: Floats) -> Floats:
        if part.paint in ("hair", "shirt", "brow"):
            return self.tint * np.float32(_BROW if part.paint == "brow" else 1)
        if part.paint != "eye":
            return _plane(part.paint)
        ahead = np.tensordot(self.turn[:, 0].astype(np.float32), normal, 1)
        glint = np.tensordot(_halfway(), normal, 1) > _GLINT
        colour = np.where(ahead > _PUPIL, _plane("pupil"), np.where(ahead > _IRIS, _plane("iris"), _plane("white")))
        return np.where(glint, np.float32(1), colour)

    def lit(self) -> Floats:
        """RGBA planes [4, size, size] between 0 and 1; colours are black where nothing is."""
        normal = self.normal / np.maximum(np.sqrt((self.normal**2).sum(0)), 1e-6)
        sky = 0.5 + 0.5 * normal[2]
        lamp = ((np.tensordot(_unit(_LIGHT), normal, 1) + 0.25) / 1.25).clip(0, 1)
        shine = np.tensordot(_halfway(), normal, 1).clip(0, 1) ** 28
        edge = (1 - normal[0].clip(0, 1)) ** 3 * (0.4 + 0.6 * sky)
        there = (self.depth > _FAR).astype(np.float32)
        colour = self.colour * (_AMBIENT + _SKY * sky + _LAMP * lamp) + _SHINE * shine + _EDGE * edge
        return np.concatenate([colour.clip(0, 1) * there, there[None]])


def _axes(part: Part) -> npt.NDArray[np.float64]:
    return rotation(part.tilt_deg).as_matrix()[0]


def _plane(name: str) -> Floats:
    return np.asarray(_COLOURS[name], np.float32)[:, None, None] / 255


def _unit(vector: npt.ArrayLike) -> Floats:
    return (np.asarray(vector) / np.linalg.norm(vector)).astype(np.float32)


def _halfway() -> Floats:
    """The direction between light and viewer, where a surface shines."""
    return _unit(_unit(_LIGHT) + np.array([1, 0, 0], np.float32))
