"""The page of an evaluation of emotions in conversations: all systems in one table, what sets them apart, and lines to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.ray_jobs.reports.answers import best, figure_range, figure_value, place, with_none
from rapport.ray_jobs.reports.page import NOTHING, render

FIGURES: tuple[tuple[str, str, str], ...] = (
    ("weighted_f1", "Weighted F1", "mean F1 of the labels, weighted by how often each is right"),
    ("macro_f1", "Macro-F1", "mean F1 of the labels, each counting alike"),
    ("accuracy", "Accuracy", "share of lines with the right label"),
    ("invalid", "Invalid", "answers that are no label, which count as wrong"),
)
"""Key, title, and what it says; in the order of the table."""

METHODS: Mapping[str, str] = {
    "auto": "Models that learned to reason to the end write their reasons first and the label last; of others the likeliest label counts.",
    "score": "The label is the one that the model finds likeliest of all labels.",
    "generate": "The model writes the label.",
    "reason": "The model writes its reasons first and the label last.",
}
MAPPED: Mapping[str, str] = {
    "exact": "the label and nothing else",
    "bracket": "the last label between angle brackets",
    "word": "a label as a word of the answer",
    "synonym": "a synonym of a label",
    "ambiguous": "several labels, which counts as invalid",
    "invalid": "no label",
    "found": "the first label in the answer, also within a word (published mapping)",
    "guessed": "no label: guessed by spelling (published mapping)",
}
TASKS: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "speaker": (("exact", "Speaker named", True),),
    "role_play": (("perplexity", "Perplexity of the true next line", False), ("bleu", "BLEU of the written next line", False)),
}
"""Task to its figures: key, title, and whether it is a share."""


def conversations_page(metrics: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> str:
    """A self-contained HTML page on the result of `evaluate_coe`.

    `shown` holds, for each line to read, `example_id`, `gold`, `prompt`, `lines` (the last is asked about) and `answers` by system.
    """
    about = metrics["about"]
    systems = {name: metrics["systems"][name] for name in about["systems"]}
    first = systems[about["first"]]
    return render(
        "conversations.html",
        title=f"{about['first']} on {about['data_name']}",
        about=about,
        systems=systems,
        first=first,
        groups={name: metrics["groups"][name] for name in about["groups"]},
        figures=columns(systems),
        best={key: best(systems, key) for key, *_ in FIGURES if key != "invalid"},
        differences={name: metrics["differences"][name] for name in about["systems"] if name in metrics["differences"]},
        group_differences={name: metrics["group_differences"][name] for name in about["groups"] if name in metrics["group_differences"]},
        verdict=verdict(metrics["differences"]),
        validation=metrics["validation"],
        method=METHODS[about["method"]],
        glances=[
            {"title": title, "systems": {name: _dot(system["figures"][key]) for name, system in systems.items()}}
            for key, title, _ in FIGURES[:2]
        ],
        confusion=with_none(first["confusion"], "invalid"),
        by_label={name: with_none(system["confusion"], "invalid")["per_class"] for name, system in systems.items()},
        mapped=_mapped(systems),
        tasks=further(systems),
        shown=shown,
        value=figure_value,
        range=figure_range,
        p_value=p_value,
    )


def columns(systems: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The figures to show: invalid answers only where there could be some."""
    written = any(system["figures"]["invalid"]["value"] for system in systems.values())
    return [row for row in FIGURES if row[0] != "invalid" or written]


def verdict(differences: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Those that the first is `better` and `worse` than by weighted F1, and those that it is not told apart from (`open`)."""
    found: dict[str, list[str]] = {"better": [], "worse": [], "open": []}
    for name, difference in differences.items():
        low, high = difference["weighted_f1"]["low"], difference["weighted_f1"]["high"]
        found["open" if low is None or low <= 0 <= high else "better" if low > 0 else "worse"].append(name)
    return found


def further(systems: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each figure of a further task: `title`, `share`, `count`, `chance`, and by system `figures`."""
    rows = []
    for task, figures in TASKS.items():
        told = {name: system["tasks"][task] for name, system in systems.items() if task in system["tasks"]}
        if not told:
            continue
        some = next(iter(told.values()))
        for key, title, share in figures:
            values = {name: found["figures"].get(key) for name, found in told.items()}
            rows.append({"title": title, "share": share, "count": some["count"], "chance": some.get("chance"), "figures": values})
    return rows


def p_value(value: float | None) -> str:
    """`0.034`, or `< 0.001`; a dash for none."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _dot(figure: Mapping[str, float | None]) -> dict[str, Any]:
    return {**place(figure), "text": figure_value(figure, True)}


def _mapped(systems: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How answers became labels: what was found, and how often by each system that wrote; nothing where none did."""
    wrote = {name: system["mapped"] for name, system in systems.items() if set(system["mapped"]) & set(MAPPED)}
    return [
        {"what": what, "counts": {name: found.get(how, 0) for name, found in wrote.items()}}
        for how, what in MAPPED.items()
        if any(how in found for found in wrote.values())
    ]
