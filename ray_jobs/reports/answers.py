"""The page of an evaluation of written answers: all systems in one table, what sets them apart, and answers to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.ray_jobs.reports.page import NOTHING, percent, render

# Key, title, what it says, and whether it is a share or a number up to 100; in the order of the table.
FIGURES: tuple[tuple[str, str, str, bool], ...] = (
    ("malformed", "Malformed", "answers that cannot be read in full", True),
    ("wer_normalised", "WER", "word errors, case, punctuation and contractions aside", True),
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


def answers_page(metrics: Mapping[str, Any], shown: Sequence[Mapping[str, Any]]) -> str:
    """A self-contained HTML page on the result of `evaluate_emosds`.

    `shown` holds, for each example to read, the `example` and its `answers` by system, as predictions have them.
    """
    systems = metrics["systems"]
    first = metrics["about"]["first"]
    return render(
        "answers.html",
        title=f"Answers of {first}",
        about=metrics["about"],
        systems=systems,
        differences=metrics["differences"],
        figures=[row for row in FIGURES if any(row[0] in system["figures"] for system in systems.values())],
        first=systems[first],
        confusions={name: with_none(found) for name, found in systems[first]["confusions"].items()},
        shown=shown,
        value=figure_value,
        range=figure_range,
    )


def with_none(confusion: Mapping[str, Any]) -> dict[str, Any]:
    """The confusion as pages show it: with a class `none` for answers without an emotion, which is never wanted."""
    labels = [*confusion["labels"], "none"]
    return {"labels": labels, "confusion": [*confusion["counts"], [0] * len(labels)]}


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
