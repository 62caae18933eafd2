import json
from html.parser import HTMLParser

import pytest

from rapport.core.examples import Example
from rapport.core.schema import Turn
from rapport.ray_jobs.reports.answers import answers_page, best, figure_range, figure_value, with_none


def figure(value: float, low: float | None = None, high: float | None = None) -> dict:
    return {"value": value, "low": low, "high": high}


def system(kind: str, wer: float, emotion: float) -> dict:
    return {
        "kind": kind,
        "model": f"/models/{kind}",
        "transcriber": "whisper:base" if kind == "cascade" else None,
        "count": 40,
        "figures": {
            "malformed": figure(0.025, 0.0, 0.05),
            "wer_normalised": figure(wer, wer - 0.01, wer + 0.01),
            "emotion_macro_f1": figure(emotion, emotion - 0.05, emotion + 0.05),
            "bleu": figure(31.46, 28.0, 35.0),
        },
        "confusions": {"emotion": {"labels": ["happy", "sad"], "counts": [[15, 4, 1], [2, 18, 0]]}},
        "malformed_reasons": {"no tag before the <transcript>": 1},
        "interval": {"unit": "speaker", "units": 4, "resamples": 500, "level": 0.95},
        "contrast": {
            "pairs": 20,
            "differ": 12,
            "differ_in_text": 14,
            "heard": figure(0.75),
            "reply_follows_emotion": figure(0.5, 0.4, 0.6),
            "reply_text_follows": figure(0.6, 0.5, 0.7),
        },
        "teacher_forced": {"token_accuracy": 0.913, "loss": 0.3, "perplexity": 1.35, "tokens": 900.0} if kind != "cascade" else None,
        "answers_per_s": 12.5,
    }


@pytest.fixture
def metrics() -> dict:
    about = {
        "data": "/d",
        "stage": 3,
        "split": "test",
        "examples": 40,
        "first": "full",
        "seed": 0,
        "revision": "abc",
        "warnings": ["so <so>"],
    }
    systems = {"full": system("units and residuals", 0.03, 0.9), "reader": system("cascade", 0.1, 0.4)}
    return {"about": about, "systems": systems, "differences": {"reader": {"emotion_macro_f1": figure(0.5, 0.4, 0.6)}}}


def shown() -> list[dict]:
    example = Example("3/0_0/a", 3, "test", "a", "esd", "the tree", "sad", history=(Turn("assistant", "Well?", "neutral"),))
    wanted = {"text": "the <tree>", "emotion": "sad", "reply_emotion": "neutral", "reply_text": "Oh."}
    given = {"given_text": "a tree", "given_emotion": None, "given_reply_emotion": "happy", "given_reply_text": None, "malformed": "no tag"}
    return [{"example": example, "answers": {"full": {**wanted, **given}}}]


def test_all_systems_stand_side_by_side_with_ranges(metrics):
    page = answers_page(metrics, shown())
    for text in (
        "3.0 %",
        "2.0 – 4.0",
        "31.5",
        "28.0 – 35.0",
        "91.3 %",
        "perplexity 1.35",
        "+50.0 %",
        "after whisper:base",
        "of 12 pairs",
        "of 14 pairs",
        "Reply emotion follows",
        "12.5",
    ):
        assert text in page, text
    assert "BERTScore" not in page
    HTMLParser().feed(page)


def test_what_models_and_users_write_is_escaped(metrics):
    page = answers_page(metrics, shown())
    assert "&lt;tree&gt;" in page
    assert "&lt;transcript&gt;" in page
    assert "so &lt;so&gt;" in page
    assert "no emotion" in page


def test_answers_without_emotion_are_a_class_that_is_never_wanted(metrics):
    found = with_none(metrics["systems"]["full"]["confusions"]["emotion"])
    assert found["labels"] == ["happy", "sad", "none"]
    assert found["confusion"] == [[15, 4, 1], [2, 18, 0], [0, 0, 0]]
    happy = found["per_class"]["happy"]
    assert (happy["recall"], happy["precision"], happy["support"]) == (15 / 20, 15 / 17, 20)
    assert happy["f1"] == pytest.approx(2 * 15 / 37)
    assert found["per_class"]["none"] == {"recall": None, "precision": 0.0, "f1": 0.0, "support": 0}


def test_the_best_is_the_lowest_of_errors_and_the_highest_of_scores(metrics):
    systems = metrics["systems"]
    assert best(systems, "wer_normalised") == best(systems, "emotion_macro_f1") == "full"
    assert best(systems, "bleu") is None, "equal"
    assert best(systems, "absent") is None


def test_systems_stand_in_the_order_in_which_they_were_named(metrics):
    metrics["systems"] = {"another": metrics["systems"]["reader"], **metrics["systems"]}
    metrics["differences"] = {"reader": {}, "another": {}}
    page = answers_page(metrics, [])
    head = page[page.index("Side by side") :]
    assert head.index("full") < head.index("reader") < head.index("another")


def test_a_stage_without_emotions_or_a_single_speaker_is_shown_too(metrics):
    alone = json.loads(json.dumps(metrics))
    alone["about"]["stage"] = 1
    del alone["systems"]["reader"]
    only = alone["systems"]["full"]
    only |= {"confusions": {}, "contrast": None, "malformed_reasons": {}, "figures": {"wer_normalised": figure(0.5)}}
    page = answers_page({**alone, "differences": {}}, [])
    assert "50.0 %" in page
    assert "Same words" not in page


def test_figures_are_written_in_their_units():
    assert figure_value(None, True) == "–"
    assert figure_value(figure(0.123), True) == "12.3 %"
    assert figure_value(figure(-1.26), False, signed=True) == "-1.3"
    assert figure_range(figure(0.1), True) == ""
    assert figure_range(figure(0.1, 0.05, 0.2), True) == "5.0 – 20.0"
