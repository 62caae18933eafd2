"""The page of an evaluation of head motion: all systems in one table, how they follow the voice, how they move, and turns to watch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rapport.core.pose import ROTATIONS
from rapport.ray_jobs.reports.motion import DARK_COLOURS, LIGHT_COLOURS
from rapport.ray_jobs.reports.page import NOTHING, render


@dataclass(frozen=True)
class Figure:
    """One row of the tables."""

    key: str
    title: str
    what: str
    unit: str
    better: Literal["low", "high", "one", "truth", ""]
    """What is good: a low value, a high one, one near 1, one near that of the truth; or nothing of these."""
    digits: int = 2


GROUPS: Mapping[str, tuple[Figure, ...]] = {
    "How far from the true motion": (
        Figure("offset_removed_mae_deg", "Error, offset removed", "mean absolute, each turn's mean error taken away", "°", "low"),
        Figure("mae_deg", "Error", "mean absolute, of absolute angles", "°", "low"),
        Figure("rmse_deg", "Error, squared", "root of the mean square", "°", "low"),
        Figure("geodesic_deg", "Rotation between poses", "the one turn that leads from true to given", "°", "low"),
        Figure("velocity_mae_deg_s", "Error of velocity", "", "°/s", "low"),
        Figure("acceleration_mae_deg_s2", "Error of acceleration", "", "°/s²", "low", 0),
        Figure("jerk_mae_deg_s3", "Error of jerk", "", "°/s³", "low", 0),
    ),
    "Does it move at the right time?": (
        Figure("correlation", "Correlation", "Pearson's r with the true motion", "", "high"),
        Figure("lagged_correlation", "Correlation at the best lag", "the highest within 2 s either way", "", "high"),
        Figure("lag_s", "That lag", "positive: behind the true motion", " s", ""),
        Figure("coherence_slow", "Coherence, 0.2–1.1 Hz", "turns of the head and of the body", "", "high"),
        Figure("coherence_middle", "Coherence, 1.1–2.6 Hz", "ordinary nods", "", "high"),
        Figure("coherence_fast", "Coherence, 2.6–7 Hz", "fast nods", "", "high"),
    ),
    "Does it move like a head?": (
        Figure("variance_ratio", "Variance, to the truth's", "within a turn", " ×", "one"),
        Figure("std_ratio", "Spread, to the truth's", "standard deviation, the root of that", " ×", "one"),
        Figure("range_ratio", "Range, to the truth's", "", " ×", "one"),
        Figure("speed_deg_s", "Mean speed", "", "°/s", "truth", 1),
        Figure("speed_wasserstein_deg_s", "Distance of speeds", "Wasserstein, between distributions over frames", "°/s", "low"),
        Figure("acceleration_wasserstein_deg_s2", "Distance of accelerations", "", "°/s²", "low", 0),
        Figure("jerk_wasserstein_deg_s3", "Distance of jerks", "", "°/s³", "low", 0),
        Figure("power_ratio_slow", "Power 0.2–1.1 Hz, to the truth's", "", " ×", "one"),
        Figure("power_ratio_middle", "Power 1.1–2.6 Hz, to the truth's", "", " ×", "one"),
        Figure("power_ratio_fast", "Power 2.6–7 Hz, to the truth's", "", " ×", "one"),
        Figure("spectrum_error_db", "Distance of spectra", "mean over 0.2–7 Hz", " dB", "low", 1),
        Figure("frechet_deg2", "Fréchet distance", "between windows of 1 s of true and given motion", " deg²", "low"),
    ),
    "Does it nod?": (
        Figure("nods_per_minute", "Nods a minute", "dips of 2° and more", "", "truth", 1),
        Figure("nod_hz", "Strokes a second in a nod", "", " Hz", "truth"),
        Figure(
            "nod_latency_loudness_s", "Nod after the voice rises", "from where it is loudest to where the nose is lowest", " s", "truth"
        ),
    ),
}
GLANCES = ("offset_removed_mae_deg", "lagged_correlation", "std_ratio", "spectrum_error_db", "frechet_deg2", "nods_per_minute")
VERDICT = ("offset_removed_mae_deg", "lagged_correlation")
"""What a model has to be better in than motion without listening."""
BY_FOLD = ("offset_removed_mae_deg", "correlation", "lagged_correlation")
"""What is told of each fold."""
MAX_DRAWN = 4

_BY_KEY = {figure.key: figure for figures in GROUPS.values() for figure in figures}
_WIDTH, _HEIGHT = 340.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 8.0, 8.0, 34.0


def listener_page(metrics: Mapping[str, Any], turns: Sequence[Mapping[str, str]]) -> str:
    """A self-contained HTML page on the result of `evaluate_listener`.

    `turns` are those to watch: `link` to their page, `title`, and `what` is told below it.
    """
    systems = in_order(metrics)
    first = metrics["about"]["first"]
    rows = {title: [f for f in figures if any(f.key in s["figures"] for s in systems.values())] for title, figures in GROUPS.items()}
    drawn = _drawn(systems, first)
    return render(
        "listener.html",
        title=f"Head motion of {first}",
        about=metrics["about"],
        systems=systems,
        first=systems[first],
        groups={title: figures for title, figures in rows.items() if figures},
        differences={name: metrics["differences"][name] for name in systems if name in metrics["differences"]},
        best={f.key: best(systems, f) for figures in rows.values() for f in figures},
        truth={f.key: systems[first]["figures"].get(f"truth_{f.key}") for figures in rows.values() for f in figures},
        glances=[_glance(_BY_KEY[key], systems, first) for key in GLANCES if key in systems[first]["figures"]],
        verdict=verdict(metrics),
        planted=metrics["planted"],
        voice=_voice(metrics),
        lags=[_lag_chart(angle, systems, drawn) for angle in ROTATIONS],
        spectra=[_spectrum_chart(angle, systems, drawn, first) for angle in ROTATIONS],
        drawn=drawn,
        colours=list(zip(LIGHT_COLOURS, DARK_COLOURS, strict=True)),
        by_fold=[by_key for key in BY_FOLD if (by_key := fold_rows(_BY_KEY[key], metrics))["rows"]],
        listeners=_listeners(systems, first),
        angles=ROTATIONS,
        by_key=_BY_KEY,
        turns=turns,
        value=figure_value,
        range=figure_range,
        better=is_better,
        signed=signed,
    )


def in_order(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The systems in the order in which they are judged, which JSON does not keep."""
    return {name: metrics["systems"][name] for name in metrics["about"]["systems"]}


def verdict(metrics: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """For each figure of `VERDICT` the other models, baselines and controls that the first system is `better` and `worse` than with an
    interval that does not hold zero, and those of which neither can be said (`open`)."""
    found: dict[str, dict[str, list[str]]] = {}
    rivals = [name for name, system in in_order(metrics).items() if system["kind"] in ("model", "baseline", "control")]
    for key in VERDICT:
        sides: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
        for name in rivals:
            difference = metrics["differences"].get(name, {}).get(key)
            if difference:
                sides[{True: "better", False: "worse", None: "open"}[is_better(_BY_KEY[key], difference)]].append(name)
        found[key] = sides
    return found


def is_better(figure: Figure, difference: Mapping[str, float | None] | None) -> bool | None:
    """Whether a difference speaks for the first of the two; None where its interval holds zero, or the figure has no better and worse."""
    if not difference or difference["low"] is None or difference["high"] is None or figure.better not in ("low", "high"):
        return None
    if difference["low"] > 0:
        return figure.better == "high"
    return figure.better == "low" if difference["high"] < 0 else None


def best(systems: Mapping[str, Mapping[str, Any]], figure: Figure) -> str | None:
    """The system with the best value; None when there is nothing to choose between."""
    values = {name: system["figures"][figure.key]["value"] for name, system in systems.items() if figure.key in system["figures"]}
    values = {name: value for name, value in values.items() if value is not None}
    if len(set(values.values())) < 2 or not figure.better:
        return None
    truths = [system["figures"].get(f"truth_{figure.key}", {}).get("value") for system in systems.values()]
    target = {"low": -math.inf, "high": math.inf, "one": 1.0, "truth": next((t for t in truths if t is not None), None)}[figure.better]
    if target is None:
        return None
    far = {"low": lambda v: v, "high": lambda v: -v}.get(figure.better, lambda v: abs(v - target))
    return min(values, key=lambda name: far(values[name]))


def figure_value(figure: Figure, found: Mapping[str, float | None] | None, plus: bool = False) -> str:
    """`2.10°`, with its sign where it is a difference; a dash where there is none."""
    value = found and found["value"]
    return NOTHING if value is None or isinstance(value, Mapping) else signed(value, figure.digits, plus) + figure.unit


def figure_range(figure: Figure, found: Mapping[str, float | None] | None) -> str:
    """`1.98 – 2.31`, in the unit of the value; empty where there is none."""
    if not found or found["low"] is None or found["high"] is None:
        return ""
    low, high = (signed(found[end] or 0.0, figure.digits) for end in ("low", "high"))
    return f"{low} – {high}" if not low.startswith("−") and not high.startswith("−") else f"{low} to {high}"


def signed(value: float, digits: int, plus: bool = False) -> str:
    """The number with a minus sign that is one, and no negative zero."""
    text = f"{value:,.{digits}f}".replace(",", " ")
    if not float(text.replace(" ", "")):
        return text.removeprefix("-")
    return f"+{text}" if plus and value > 0 else text.replace("-", "−")


def _drawn(systems: Mapping[str, Any], first: str) -> dict[str, int]:
    """The systems whose curves are drawn, and the numbers of their colours: those that move, the first before models, and so on."""
    rank = {"model": 0, "drawn": 1, "control": 3, "baseline": 2}
    moving = [name for name, system in systems.items() if system["figures"].get("std_ratio", {}).get("value", 0) > 0.02]
    # A pose that is held, or a mean that has nearly settled, has no spectrum to speak of.
    moving = [name for name in moving if name not in ("start pose", "mean pose", "running mean")]
    chosen = sorted(moving, key=lambda name: (name != first, rank[systems[name]["kind"]]))[:MAX_DRAWN]
    return {name: number for number, name in enumerate(chosen)}


def _glance(figure: Figure, systems: Mapping[str, Any], first: str) -> dict[str, Any]:
    """A figure of every system on a common line: places in per cent of it, and that of a mark which is the thing to reach."""
    found = {name: system["figures"][figure.key] for name, system in systems.items() if figure.key in system["figures"]}
    truth = systems[first]["figures"].get(f"truth_{figure.key}", {}).get("value")
    aim = {"one": 1.0, "truth": truth}.get(figure.better)
    ends = [value for one in found.values() for value in _ends(one)] + ([] if aim is None else [aim])
    low, high = min(0.0, *ends), max(0.0, *ends)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return 100 * (value - low) / span

    rows = {}
    for name, one in found.items():
        least, value, most = _ends(one)
        rows[name] = {"left": place(least), "width": place(most) - place(least), "dot": place(value), "text": figure_value(figure, one)}
    words = {"low": "lower is better", "high": "higher is better", "one": "1 is right", "truth": "the mark is the truth"}
    return {"figure": figure, "rows": rows, "aim": None if aim is None else place(aim), "hint": words.get(figure.better, "")}


def _ends(figure: Mapping[str, float | None]) -> tuple[float, float, float]:
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    middle = 0.0 if value is None else value
    return middle if low is None else low, middle, middle if high is None else high


def _voice(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each signal of the voice and each angle how strongly and how late the head follows: the truth, and every model."""
    models = {name: system for name, system in in_order(metrics).items() if system["kind"] == "model"}
    first = models[metrics["about"]["first"]]["figures"]
    rows = []
    for signal in metrics["about"]["signals"]:
        for angle in ROTATIONS:
            key = f"{signal}_{angle}"
            cells = {"truth": _follows(first, f"truth_{key}"), **{name: _follows(m["figures"], key) for name, m in models.items()}}
            if any(cells.values()):
                rows.append({"signal": signal, "angle": angle, "cells": cells})
    return rows


def _follows(figures: Mapping[str, Any], key: str) -> dict[str, str] | None:
    strength, lag = figures.get(f"{key}_correlation"), figures.get(f"{key}_lag_s")
    if not strength or strength["value"] is None:
        return None
    return {"r": signed(strength["value"], 2, True), "lag": "" if not lag or lag["value"] is None else f"{signed(lag['value'], 2)} s"}


def fold_rows(figure: Figure, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A figure of each system (`rows`, by name): `folds`, its value in each session in order; `mean` and `deviation` over these, and its
    `seeds`' deviation. Texts; a dash where there is none."""

    def text(value: float | None) -> str:
        return figure_value(figure, None if value is None else {"value": value})

    rows = {}
    for name, system in in_order(metrics).items():
        over, seeds = (system[key].get(figure.key, {}) for key in ("over_folds", "over_seeds"))
        values = [system["by_fold"].get(session, {}).get(figure.key) for session in metrics["about"]["sessions"]]
        if any(value is not None for value in values):
            rows[name] = {
                "folds": [text(value) for value in values],
                "mean": text(over.get("mean")),
                "deviation": text(over.get("deviation")),
                "seeds": text(seeds.get("deviation")),
            }
    return {"figure": figure, "rows": rows}


def _listeners(systems: Mapping[str, Any], first: str) -> list[dict[str, Any]]:
    """Each listener with the main figures of the first system, and the least error of a baseline."""
    still = [system["per_group"] for system in systems.values() if system["kind"] == "baseline"]
    rows = []
    for listener, figures in sorted(systems[first]["per_group"].items()):
        others = [group.get(listener, {}).get(VERDICT[0]) for group in still]
        rows.append({"listener": listener, "figures": figures, "baseline": min((o for o in others if o is not None), default=None)})
    return rows


def _lag_chart(angle: str, systems: Mapping[str, Any], drawn: Mapping[str, int]) -> dict[str, Any]:
    """Correlation with the true motion against lag, -2 to 2 s."""
    lines = {}
    for name, number in drawn.items():
        curve = systems[name]["curves"]["lags"]
        lines[name] = (number, [(x, y) for x, y in zip(curve["lags_s"], curve[angle], strict=True) if y is not None])
    values = [y for _, points in lines.values() for _, y in points]
    low, high = min([-0.2, *values]), max([0.5, *values])
    step = 0.2 if high - low < 1.3 else 0.5
    ticks = [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return _chart(
        angle,
        lines,
        (-2.0, 2.0),
        (low, high),
        [(x, f"{x:g}".replace("-", "−")) for x in (-2, -1, 0, 1, 2)],
        [(y, signed(y, 1)) for y in ticks],
    )


def _spectrum_chart(angle: str, systems: Mapping[str, Any], drawn: Mapping[str, int], first: str) -> dict[str, Any]:
    """Power density against frequency, both logarithmic; the truth is number -1."""
    lines: dict[str, tuple[int, list[tuple[float, float]]]] = {}
    for name, number, key in [("truth", -1, "truth"), *((name, number, "prediction") for name, number in drawn.items())]:
        curve = systems[first if name == "truth" else name]["curves"]["spectra"]
        pairs = zip(curve["frequencies_hz"], curve[f"{key}_{angle}"], strict=True)
        lines[name] = (number, [(math.log10(x), math.log10(max(y, 1e-6))) for x, y in pairs if y is not None])
    values = [y for _, points in lines.values() for _, y in points] or [0.0]
    top = max(values) + 0.2
    low, high = max(min(values), top - 6) - 0.1, top
    ticks = [(float(y), f"10{_raised(y)}") for y in range(math.ceil(low), math.floor(high) + 1)]
    across = [(math.log10(x), f"{x:g}") for x in (0.2, 0.5, 1, 2, 5)]
    return _chart(angle, lines, (math.log10(0.2), math.log10(7)), (low, high), across, ticks)


def _chart(
    title: str,
    lines: Mapping[str, tuple[int, list[tuple[float, float]]]],
    across: tuple[float, float],
    up: tuple[float, float],
    ticks: Sequence[tuple[float, str]],
    rungs: Sequence[tuple[float, str]],
) -> dict[str, Any]:
    """A line chart as SVG coordinates: `lines` of name to colour number and path, `ticks` and `rungs` of place and text."""

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - across[0]) / (across[1] - across[0])

    def y(value: float) -> float:
        inside = min(max(value, up[0]), up[1])
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (inside - up[0]) / (up[1] - up[0])

    paths = {name: (number, " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)) for name, (number, points) in lines.items()}
    return {
        "title": title,
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _WIDTH - _RIGHT,
        "top": _TOP,
        "bottom": _HEIGHT - _BOTTOM,
        # The first is drawn last, over the others.
        "lines": dict(reversed(paths.items())),
        "ticks": [(round(x(value), 1), text) for value, text in ticks],
        "rungs": [(round(y(value), 1), text) for value, text in rungs],
    }


def _raised(number: int) -> str:
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
