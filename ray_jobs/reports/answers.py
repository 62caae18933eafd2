"""The page of an evaluation of written answers: all systems in one table, what sets them apart, and answers to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.ray_jobs.reports.page import NOTHING, percent, render
from rapport.training.text_metrics import LOWER_IS_BETTER

# Key, title, what it says, and whether it is a share or a number up to 100; in the order of the table.
FIGURES: tuple[tuple[str, str, str, bool], ...] = (
    ("malformed", "Malformed", "answers that depart from their form", True),
    ("wer_normalised", "WER", "word errors; case and punctuation aside", True),
    ("wer", "WER, raw", "word errors as written", True),
    ("cer_normalised", "CER", "character errors, aside from the same", True),
    ("cer", "CER, raw", "character errors as written", True),
    ("emotion_macro_f1", "User emotion, macro-F1", "mean F1 of the emotions", True),
    ("emotion_weighted_f1", "User emotion, weighted F1", "mean weighted by how often each is wanted", True),
    ("reply_emotion_macro_f1", "Reply emotion, macro-F1", "against the reply in the dialogues", True),
    ("reply_emotion_weighted_f1", "Reply emotion, weighted F1", "", True),
    ("bleu", "Reply BLEU", "sacrebleu, corpus", False),
    ("chrf", "Reply chrF2", "sacrebleu, corpus", False),
    ("rouge_l", "Reply ROUGE-L", "stemmed", True),
    ("meteor", "Reply METEOR", "equal words and equal stems; no synonyms", True),
    ("bert_score", "Reply BERTScore F1", "not rescaled", True),
)

# Of pairs with the same words in two emotions: key, title, the count that they are of, and what that counts.
CONTRASTS: tuple[tuple[str, str, str, str], ...] = (
    ("heard", "User emotion told apart", "pairs", "pairs"),
    ("reply_follows_emotion", "Reply emotion follows", "differ", "pairs whose replies are to differ in emotion"),
    ("reply_text_follows", "Reply words follow", "differ_in_text", "pairs whose replies are to differ in words"),
)
_LOWER_IS_BETTER = frozenset(LOWER_IS_BETTER)
_AT_A_GLANCE = ("wer_normalised", "emotion_macro_f1", "reply_emotion_macro_f1", "reply_follows_emotion", "bleu", "malformed")


def answers_page(metrics: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> str:
    """A self-contained HTML page on the result of `evaluate_emosds`.

    `shown` holds, for each example to read, the `example` and its `answers` by system, as predictions have them.
    """
    # JSON keeps the order of names by the alphabet; the order of columns is that in which the systems were named.
    first = metrics["about"]["first"]
    order = [first, *metrics["differences"], *(name for name in metrics["systems"] if name != first)]
    systems = {name: metrics["systems"][name] for name in dict.fromkeys(order)}
    rows = [row for row in FIGURES if any(row[0] in system["figures"] for system in systems.values())]
    contrasts = [row for row in CONTRASTS if any(row[0] in (system["contrast"] or {}) for system in systems.values())]
    return render(
        "answers.html",
        title=f"Answers of {first}",
        about=metrics["about"],
        systems=systems,
        differences=metrics["differences"],
        figures=rows,
        contrasts=contrasts,
        glances=_glances(systems, rows, contrasts),
        best={key: best(systems, key) for key, *_ in rows},
        first=systems[first],
        confusions={name: with_none(found) for name, found in systems[first]["confusions"].items()},
        reasons=_reasons(systems),
        shown=shown,
        value=figure_value,
        range=figure_range,
    )


def with_none(confusion: Mapping[str, Any], none: str = "none") -> dict[str, Any]:
    """The confusion as pages show it: `labels` with a class `none` for answers without an emotion, which is never wanted, counts of each
    wanted and given one, and `per_class` with recall, precision, F1 and support."""
    labels = [*confusion["labels"], none]
    counts = [*confusion["counts"], [0] * len(labels)]
    support, given = [sum(row) for row in counts], [sum(column) for column in zip(*counts, strict=True)]

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    per_class = {
        label: {
            "recall": share(counts[i][i], support[i]),
            "precision": share(counts[i][i], given[i]),
            "f1": share(2 * counts[i][i], support[i] + given[i]),
            "support": support[i],
        }
        for i, label in enumerate(labels)
    }
    return {"labels": labels, "confusion": counts, "per_class": per_class}


def best(systems: Mapping[str, Mapping[str, Any]], key: str) -> str | None:
    """The name of the system with the best value of a figure; None when there is nothing to choose between."""
    values = {name: system["figures"][key]["value"] for name, system in systems.items() if key in system["figures"]}
    if len(set(values.values())) < 2:
        return None
    choose = min if key in _LOWER_IS_BETTER else max
    chosen: str = choose(values, key=lambda name: values[name])
    return chosen


def _glances(systems: Mapping[str, Any], rows: Sequence[Any], contrasts: Sequence[Any]) -> list[dict[str, Any]]:
    """The figures that are drawn: each with the place of value and interval of every system on a line from 0 to 100."""
    titles = {key: (title, share) for key, title, _, share in rows} | {key: (title, True) for key, title, _, _ in contrasts}
    kinds = [system["kind"] for system in systems.values()]
    labels = {name: system["kind"] if kinds.count(system["kind"]) == 1 else name for name, system in systems.items()}
    found = []
    for key in (key for key in _AT_A_GLANCE if key in titles):
        title, share = titles[key]
        given = {name: (system["figures"] | (system["contrast"] or {})).get(key) for name, system in systems.items()}
        places = {
            name: {**place(figure, share), "label": labels[name], "text": figure_value(figure, share)}
            for name, figure in given.items()
            if figure
        }
        found.append({"title": title, "lower": key in _LOWER_IS_BETTER, "systems": places})
    return found


def place(figure: Mapping[str, float | None], share: bool = True) -> dict[str, float]:
    """`left`, `width` and `dot` in per cent of a line from 0 to 100."""
    low, dot, high = (min(100.0, max(0.0, (100 if share else 1) * value)) for value in _bounds(figure))
    return {"left": low, "width": high - low, "dot": dot}


def _bounds(figure: Mapping[str, float | None]) -> tuple[float, float, float]:
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    middle = 0.0 if value is None else value
    return middle if low is None else low, middle, middle if high is None else high


def _reasons(systems: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """How answers depart from their form, the commonest first: reason to count by system."""
    found: dict[str, dict[str, int]] = {}
    for name, system in systems.items():
        for reason, count in system["malformed_reasons"].items():
            found.setdefault(reason, {})[name] = count
    return dict(sorted(found.items(), key=lambda item: -sum(item[1].values())))


def figure_value(figure: Mapping[str, float | None] | None, share: bool, signed: bool = False) -> str:
    """`4.2 %` of a share, `31.5` of another number; signed where it is a difference; a dash where there is none."""
    value = figure and figure["value"]
    if value is None or isinstance(value, Mapping):
        return NOTHING
    text = percent(value) if share else f"{value:.1f}"
    return f"+{text}" if signed and value > 0 else text


def figure_range(figure: Mapping[str, float | None] | None, share: bool) -> str:
    """`3.0 – 5.1`, in the units of the value; empty where there is none."""
    if not figure or figure["low"] is None or figure["high"] is None:
        return ""
    scale = 100 if share else 1
    return f"{scale * figure['low']:.1f} – {scale * figure['high']:.1f}"
