"""Pictures of the embeddings of a test: a page to explore and a still image. Colour is the emotion, the marker is the corpus."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from rapport.ray_jobs.reports.page import colour, render

# Corpora in alphabetical order take these in turn; the page draws the same shapes.
MARKERS = {"circle": "o", "triangle": "^", "square": "s", "diamond": "D", "cross": "X", "star": "*"}
# Room that a written name takes, as a share of the map.
_NAME_WIDTH, _NAME_HEIGHT = 0.13, 0.032


@dataclass(frozen=True)
class EmbeddedClips:
    """N clips and where they lie on each map."""

    utterance_ids: Sequence[str]
    targets: npt.NDArray[np.int64]
    """[N] indices into `labels`."""
    predictions: npt.NDArray[np.int64]
    """[N] indices into `labels`."""
    corpora: Sequence[str]
    labels: Sequence[str]
    maps: dict[str, npt.NDArray[np.float64]]
    """Name of the map -> [N, 2]."""

    def markers(self) -> dict[str, str]:
        """The marker of each corpus, by the names of `MARKERS`."""
        names = list(MARKERS)
        return {corpus: names[i % len(names)] for i, corpus in enumerate(sorted(set(self.corpora)))}


def class_centres(points: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], classes: int) -> dict[int, tuple[float, float]]:
    """Where to write the name of each class that occurs: the median of its own points on this very map [N, 2], which lies within 0 … 1.

    Names that would cover one another are moved apart, up and down.
    """
    middles = {c: np.median(points[targets == c], axis=0) for c in range(classes) if (targets == c).any()}
    upwards = sorted(middles.values(), key=lambda place: place[1])
    for i, place in enumerate(upwards):
        for below in upwards[:i]:
            if abs(place[0] - below[0]) < _NAME_WIDTH and place[1] - below[1] < _NAME_HEIGHT:
                place[1] = below[1] + _NAME_HEIGHT
    return {c: (float(x), float(y)) for c, (x, y) in middles.items()}


def embeddings_page(clips: EmbeddedClips, space: dict[str, Any], title: str) -> str:
    """A self-contained HTML page: the maps with hover, zoom and filters, and the numbers of `describe_space`."""
    markers = clips.markers()
    order = list(markers)
    squares = {name: _unit_square(points) for name, points in clips.maps.items()}
    drawing = {
        "labels": list(clips.labels),
        "colours": [colour(label) for label in clips.labels],
        "corpora": order,
        "markers": list(markers.values()),
        "ids": list(clips.utterance_ids),
        "target": clips.targets.tolist(),
        "prediction": clips.predictions.tolist(),
        "corpus": [order.index(c) for c in clips.corpora],
        "maps": {name: points.round(4).tolist() for name, points in squares.items()},
        "centres": {name: class_centres(points, clips.targets, len(clips.labels)) for name, points in squares.items()},
    }
    present = [i for i, label in enumerate(clips.labels) if (clips.targets == i).any()]
    return render("embeddings.html", title=title, drawing=drawing, space=space, present=present, map_names=list(clips.maps))


def embeddings_image(clips: EmbeddedClips, title: str = "") -> bytes:
    """All maps side by side, as PNG bytes; filled markers were recognised, hollow ones were not."""
    figure = Figure(figsize=(6.2 * len(clips.maps), 6.6), dpi=110, layout="constrained")
    for axes, (name, points) in zip(figure.subplots(1, len(clips.maps), squeeze=False)[0], clips.maps.items(), strict=True):
        _draw(axes, clips, _unit_square(points))
        axes.set_title(name, fontsize=11)
    present = [i for i in range(len(clips.labels)) if (clips.targets == i).any()]
    handles = [Line2D([], [], marker="o", linestyle="", color=colour(clips.labels[i]), label=clips.labels[i]) for i in present]
    handles += [
        Line2D([], [], marker=MARKERS[shape], linestyle="", markeredgecolor="#444", markerfacecolor="none", label=corpus)
        for corpus, shape in clips.markers().items()
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 12),
        frameon=False,
        fontsize=9,
        handletextpad=0.1,
        columnspacing=1.2,
    )
    if title:
        figure.suptitle(title, fontsize=12, fontweight="bold")
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    return sink.getvalue()


def _draw(axes: Axes, clips: EmbeddedClips, points: npt.NDArray[np.float64]) -> None:
    right = clips.targets == clips.predictions
    corpora = np.asarray(clips.corpora, dtype=object)
    for corpus, shape in clips.markers().items():
        for heard in (False, True):
            rows = np.flatnonzero((corpora == corpus) & (right == heard))
            colours = [colour(clips.labels[t]) for t in clips.targets[rows]]
            faces: Any = colours if heard else "none"
            x, y = points[rows].T
            axes.scatter(x, y, s=20, marker=MARKERS[shape], facecolors=faces, edgecolors=colours, linewidths=0.9, alpha=0.85)
    for c, (x, y) in class_centres(points, clips.targets, len(clips.labels)).items():
        halo = [withStroke(linewidth=3.5, foreground="white")]
        axes.text(x, y, clips.labels[c], ha="center", va="center", fontsize=11, fontweight="bold", color="#111", path_effects=halo)
    axes.set(xticks=[], yticks=[])
    axes.set_aspect("equal", adjustable="datalim")
    axes.spines[:].set_color("#d5dae1")


def _unit_square(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The map turned so that it is widest from left to right, and scaled, both axes alike, to lie within 0 … 1."""
    centred = points - points.mean(0)
    turned = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    low, high = turned.min(0), turned.max(0)
    return (turned - (low + high) / 2) / max(float((high - low).max()), 1e-9) + 0.5
