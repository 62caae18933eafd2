"""The page of an evaluated agent: all systems side by side, what is handed over when what is meant, scene by scene and item by item."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapport.ray_jobs.reports.page import NOTHING, render


@dataclass(frozen=True)
class Figure:
    """One row of the tables."""

    key: str
    title: str
    what: str
    share: bool
    """A share of 1, told in per cent."""
    lower: bool = False
    """Lower is better."""
    judged: bool = True
    """There is a better and a worse."""


FIGURES = (
    Figure("mean_return", "Mean return", "sum of an episode's rewards", False),
    Figure("success", "Success", "episodes with a return above zero", True),
    Figure("understood", "Understood", "turns that handed over the very item that was meant", True),
    Figure("item_accuracy", "Item accuracy", "the same, of turns that handed something over", True),
    Figure("choice", "Choice", "turns in which the item that was meant is worth most, as an oracle has it", True),
    Figure("exact", "Heard word by word", "turns whose transcript is a way to ask for what was meant", True),
    Figure("wer", "Word error rate", "of what was heard, against the nearest way to ask for what was meant", True, True),
    Figure("silent", "Silent", "turns without a sound", True, True),
    Figure("turns_per_episode", "Turns", "of an episode", False, judged=False),
)
TILES = ("mean_return", "success", "understood", "wer")
GLANCES = ("mean_return", "understood", "choice")
_BY_KEY = {figure.key: figure for figure in FIGURES}


def agent_page(metrics: Mapping[str, Any], links: Mapping[str, str | None]) -> str:
    """A self-contained HTML page on the result of `evaluate_agent`. `links` are those to `replay`, `confusion` and `returns`."""
    about = metrics["about"]
    systems = {name: metrics["systems"][name] for name in about["systems"]}
    name, agent = next(iter(systems.items()))
    shown = [figure for figure in FIGURES if any(figure.key in system["figures"] for system in systems.values())]
    if all(system["figures"].get("turns_per_episode", {"value": 1})["value"] == 1 for system in systems.values()):
        shown = [figure for figure in shown if figure.key != "turns_per_episode"]
    return render(
        "agent.html",
        title=f"{about['agent']} in {about['task']}",
        about=about,
        systems=systems,
        first=name,
        agent=agent,
        figures=shown,
        tiles=[_BY_KEY[key] for key in TILES if key in agent["figures"]],
        glances=[_glance(_BY_KEY[key], systems) for key in GLANCES if key in agent["figures"]],
        verdict=verdict(metrics),
        differences={other: metrics["differences"][other] for other in systems if other in metrics["differences"]},
        confusion=_heat(agent["confusion"]),
        unseen=metrics["unseen"],
        patterns=metrics["patterns"],
        audit=metrics["audit"],
        links=links,
        value=figure_value,
        range=figure_range,
        spoken=spoken,
    )


def verdict(metrics: Mapping[str, Any]) -> dict[str, list[str]]:
    """The other systems that earn `less` and `more` than the agent by an interval that does not hold zero, and those `open`."""
    sides: dict[str, list[str]] = {"less": [], "more": [], "open": []}
    for name in metrics["about"]["systems"]:
        difference = metrics["differences"].get(name, {}).get("mean_return")
        if not difference:
            continue
        low, high = difference["low"], difference["high"]
        sides["less" if low is not None and low > 0 else "more" if high is not None and high < 0 else "open"].append(spoken(name))
    return sides


def figure_value(figure: Figure, found: Mapping[str, Any] | float | None, plus: bool = False) -> str:
    """`87.5 %` or `0.834`, with its sign where it is a difference; a dash where there is none."""
    value = found["value"] if isinstance(found, Mapping) else found
    if value is None:
        return NOTHING
    text = f"{100 * value:.1f} %" if figure.share else f"{value:.3f}"
    text = text.removeprefix("-") if not float(text.removesuffix(" %")) else text
    return f"+{text}" if plus and value > 0 and float(text.removesuffix(" %")) else text.replace("-", "−")


def figure_range(figure: Figure, found: Mapping[str, Any] | None) -> str:
    """`0.801 – 0.866`; empty where there is none, or nothing varies."""
    if not found or found.get("low") is None or found.get("high") is None:
        return ""
    low, high = (figure_value(figure, found[end]) for end in ("low", "high"))
    if low == high:
        return ""
    return f"{low.removesuffix(' %')} {'to' if '−' in low + high else '–'} {high}"


def spoken(name: str) -> str:
    """A name as it is read."""
    return name.replace("_", " ")


def _glance(figure: Figure, systems: Mapping[str, Any]) -> dict[str, Any]:
    """A figure of every system on a common line from 0, or the lowest: places in per cent of it."""
    found = {name: system["figures"][figure.key] for name, system in systems.items() if figure.key in system["figures"]}
    ends = [end for one in found.values() for end in _ends(one)]
    low, high = min(0.0, *ends), max(1.0 if figure.share else 0.0, *ends)
    span = (high - low) or 1.0
    rows = {}
    for name, one in found.items():
        least, value, most = (100 * (end - low) / span for end in _ends(one))
        rows[name] = {"left": least, "width": most - least, "dot": value, "text": figure_value(figure, one)}
    return {"figure": figure, "rows": rows}


def _ends(figure: Mapping[str, Any]) -> tuple[float, float, float]:
    value = figure["value"]
    low, high = (value if figure[end] is None else figure[end] for end in ("low", "high"))
    return low, value, high


def _heat(confusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the confusion with the share of every cell."""
    rows = []
    for name, counts in zip(confusion["meant"], confusion["counts"], strict=True):
        total = sum(counts)
        cells = [
            {"given": given, "count": count, "share": count / total if total else 0.0, "right": given == name}
            for given, count in zip(confusion["given"], counts, strict=True)
        ]
        rows.append({"name": name, "total": total, "cells": cells})
    return rows
