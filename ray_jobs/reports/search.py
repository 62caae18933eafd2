"""Pictures of a search: every trial as a line through its settings, and how much each setting matters."""

import io
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from rapport.ray_jobs.reports.page import data_uri, render


class Trial(NamedTuple):
    """One trial as a picture needs it."""

    number: int
    key: str
    params: Mapping[str, Any]
    score: float | None
    epochs: int
    state: str
    error: str | None = None


class Dimension(NamedTuple):
    """One searched field."""

    name: str
    choices: tuple[Any, ...] = ()
    """Empty for a number."""
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    def place(self, value: Any) -> float:
        """Where the value stands on the axis, from 0 to 1."""
        if self.choices:
            return self.choices.index(value) / max(len(self.choices) - 1, 1)
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def search_picture(trials: Sequence[Trial], dimensions: Sequence[Dimension], importance: Mapping[str, float], metric: str) -> bytes:
    """PNG bytes: parallel coordinates of the trials that have a score (best ones darkest), and the importance of each field where known."""
    scored = [trial for trial in trials if trial.score is not None]
    figure = Figure(figsize=(min(max(9.0, 0.8 * len(dimensions) + 2), 15.0), 8.6 if importance else 5.2), dpi=120, layout="constrained")
    panels = figure.subplots(2, 1, height_ratios=[1.4, 1]) if importance else [figure.subplots()]
    _coordinates(panels[0], scored, dimensions, metric)
    if importance:
        names = sorted(importance, key=importance.__getitem__)
        panels[1].barh([_label(name, " ") for name in names], [importance[name] for name in names], color="#0072b2", height=0.6)
        panels[1].set(xlabel="share of the variance of the score that the field explains")
        panels[1].spines[["top", "right"]].set_visible(False)
        panels[1].tick_params(labelsize=8.5)
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    return sink.getvalue()


def search_page(trials: Sequence[Trial], dimensions: Sequence[Dimension], picture: bytes, preset: str, facts: Mapping[str, Any]) -> str:
    """A self-contained HTML page: the picture, the best settings as a preset, and a table of all trials, best first.

    `facts` holds `name`, `metric`, `mode` and `budget` (epochs of a whole trial).
    """
    sign = -1 if facts["mode"] == "max" else 1
    ranked = sorted(trials, key=lambda trial: math.inf if trial.score is None else sign * trial.score)
    return render("search.html", trials=ranked, fields=[d.name for d in dimensions], picture=data_uri(picture), preset=preset, facts=facts)


def _coordinates(axes: Axes, trials: Sequence[Trial], dimensions: Sequence[Dimension], metric: str) -> None:
    scores = np.array([trial.score for trial in trials], dtype=np.float64)
    low, high = float(scores.min()), float(scores.max())
    spread = max(high - low, 1e-9)
    last = len(dimensions)
    for index in np.argsort(scores):
        trial, strength = trials[index], (scores[index] - low) / spread
        places = [d.place(trial.params[d.name]) for d in dimensions] + [strength]
        x, y = _smooth(places)
        axes.plot(x, y, color=colormaps["viridis_r"](0.08 + 0.9 * strength), alpha=0.35 + 0.6 * strength, linewidth=1 + 1.2 * strength)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for place, dimension in enumerate(dimensions):
        axes.axvline(place, color="#9aa5b1", linewidth=0.8, zorder=0)
        ticks = dimension.choices or [_short(dimension.low), _short(dimension.high)]
        for tick, text in enumerate(ticks):
            height = tick / max(len(ticks) - 1, 1)
            axes.text(place - 0.04, height, str(text), fontsize=8, ha="right", va="center", color="#3d4757", path_effects=halo)
    axes.axvline(last, color="#1b2330", linewidth=1.4)
    for height, value in ((0, low), (1, high)):
        axes.text(last + 0.05, height, f"{value:.3f}", fontsize=9, va="center", fontweight="bold")
    labels = [_label(dimension.name, "\n") for dimension in dimensions]
    axes.set_xticks(range(last + 1), [*labels, metric], fontsize=8.5, rotation=40, ha="right", rotation_mode="anchor")
    axes.set(yticks=[], xlim=(-0.5, last + 0.5), ylim=(-0.05, 1.05))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _smooth(places: Sequence[float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A curve through the places that is level at each axis: lines that meet there can be told apart."""
    step = np.linspace(0, 1, 24)
    ease = step * step * (3 - 2 * step)
    pairs = list(pairwise(places))
    x = np.concatenate([i + step for i in range(len(pairs))])
    return x, np.concatenate([a + (b - a) * ease for a, b in pairs])


def _label(name: str, between: str) -> str:
    """The last two parts of a dotted name, which tell it from the others."""
    return between.join(name.split(".")[-2:])


def _short(value: float) -> str:
    return f"{value:.2g}"
