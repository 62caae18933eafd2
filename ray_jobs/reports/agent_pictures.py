"""Figures of an evaluated agent as pictures for papers: what was handed over when what was meant, and the returns of all systems."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

_NOTHING = "nothing"


def confusion_picture(confusion: Mapping[str, Any], title: str = "") -> bytes:
    """PNG of the confusion of `agent_evaluation.measure.confusion`, each row in per cent of the turns in which that item was meant."""
    meant, given = _spoken(confusion["meant"]), _spoken(confusion["given"])
    counts: npt.NDArray[np.int64] = np.array(confusion["counts"], np.int64).reshape(len(meant), len(given))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure = Figure(figsize=(2.6 + 0.5 * len(given), 1.7 + 0.42 * max(len(meant), 1)), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
    axes.set_xticks(np.arange(len(given)) + 0.5, given, rotation=45, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(np.arange(len(meant)) + 0.5, meant, fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="handed over", ylabel="meant")
    axes.invert_yaxis()
    axes.set_title(title, fontsize=11)
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            ink = "white" if share > 0.6 else "#1f2933"
            axes.text(column + 0.5, row + 0.5, f"{100 * share:.0f}", ha="center", va="center", fontsize=9, color=ink)
    return _png(figure)


def returns_picture(systems: Mapping[str, Mapping[str, Any]]) -> bytes:
    """PNG of the mean return of every system with its interval, the first one marked."""
    figure = Figure(figsize=(7.2, 0.9 + 0.34 * len(systems)), dpi=110, layout="constrained")
    axes = figure.subplots()
    for place, system in enumerate(systems.values()):
        found = system["figures"].get("mean_return")
        if found is None:
            continue
        colour = "#1858a8" if place == 0 else "#7b8794"
        low, high = (found["value"] if found[end] is None else found[end] for end in ("low", "high"))
        axes.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
        axes.plot([found["value"]], [place], "o", color=colour, markersize=7)
        axes.annotate(f"{found['value']:.3f}", (high, place), xytext=(8, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(systems)), [name.replace("_", " ") for name in systems], fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.12, y=0.08)
    axes.set_xlabel("mean return, with the central 95 % when episodes are drawn again")
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return _png(figure)


def _spoken(names: Sequence[str]) -> list[str]:
    return [name.replace("_", " ") or _NOTHING for name in names]


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="png")
    return sink.getvalue()
