import re
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from rapport.models.ser.config import SerConfig
from rapport.ray_jobs.reports.model_card import model_card, training_data

LABELS = ("neutral", "calm", "happy", "sad")
MODEL = SerConfig(emotions=LABELS).model_dump(mode="json")


@pytest.fixture
def card(made_up_metrics):
    def write(trained_on=("ravdess", "cremad"), **overrides):
        values = {"split": "test", "trained_on": [training_data(name) for name in trained_on], "training": {"epochs": 60, "seed": None}}
        return model_card("ser-demo", MODEL, made_up_metrics(), **{**values, **overrides})

    return write


def front_matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_front_matter_is_what_the_hub_reads(card, made_up_metrics):
    held: Any = ModelCard(card()).data
    assert held.pipeline_tag == "audio-classification"
    assert held.library_name == "rapport"
    assert held.language == ["en"]
    assert held.datasets == ["ravdess", "cremad"]
    results = {(r.dataset_name, r.metric_type): r.metric_value for r in held.eval_results}
    assert results["ravdess", "recall"] == pytest.approx(made_up_metrics()["per_corpus"]["ravdess"]["uar"], abs=1e-4)


def test_one_licence_is_named_and_several_are_left_to_the_reader(card):
    assert front_matter(card(("ravdess",)))["license"] == "cc-by-nc-sa-4.0"
    assert front_matter(card())["license"] == "other"
    assert "CC BY-NC-SA 4.0" in card()
    assert "ODbL" in card()


def test_tables_hold_corpora_classes_and_noise(card, made_up_metrics):
    text = card(per_snr={"10": made_up_metrics(seed=2)})
    metrics = made_up_metrics()
    rows = {cells[0]: cells[1:] for line in text.splitlines() if (cells := re.split(r"\s*\|\s*", line.strip("| ")))}
    low, high = metrics["interval"]["uar"]
    assert rows["**all**"][1:3] == [f"{100 * metrics['uar']:.1f} %", f"{100 * low:.1f} – {100 * high:.1f} %"]
    assert {"ravdess", "cremad", "in noise, 10 dB", *LABELS} <= set(rows)
    widths = {len(cells) for name, cells in rows.items() if name in ("**all**", "ravdess", "cremad", "in noise, 10 dB")}
    assert widths == {7}


def test_card_tells_use_limits_calibration_and_how_it_was_trained(card):
    text = card()
    for heading in ("## Intended use", "## Limits", "## Training data", "## Training\n"):
        assert heading in text
    assert "expected calibration error" in text
    assert "| epochs | 60 |" in text
    assert "None" not in text


def test_a_corpus_of_ones_own_has_no_licence_that_could_be_named(card):
    text = card(("my-calls",))
    assert front_matter(text)["license"] == "other"
    assert "unknown: ask the owner" in text


def test_a_model_of_unknown_origin_says_so(card):
    assert "not recorded which corpora" in card(())
