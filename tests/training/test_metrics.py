import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, confusion_matrix, f1_score, log_loss, recall_score

from rapport.training.metrics import (
    bootstrap_interval,
    calibration,
    classification_metrics,
    confusion_counts,
    scores_of,
    unweighted_average_recall,
)

LABELS = ("neutral", "calm", "happy", "sad")


def clips(count=200, seed=0, classes=4, speakers=10):
    """Targets, predictions, probabilities and speakers of a made-up, half-right classifier."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, count)
    logits = random.normal(size=(count, classes))
    logits[np.arange(count), targets] += 1
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return targets, probabilities.argmax(1), probabilities, [f"c/{s}" for s in random.integers(0, speakers, count)]


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 10_000))
def test_scores_equal_those_of_scikit_learn(count, classes, seed):
    targets, predictions, _, _ = clips(count, seed, classes)
    scores = scores_of(confusion_counts(targets, predictions, classes))
    present = np.unique(targets)
    assert scores["uar"] == pytest.approx(recall_score(targets, predictions, labels=present, average="macro"))
    assert scores["wa"] == pytest.approx(accuracy_score(targets, predictions))
    assert scores["macro_f1"] == pytest.approx(f1_score(targets, predictions, labels=present, average="macro", zero_division=0))
    assert unweighted_average_recall(targets, predictions) == pytest.approx(scores["uar"])


def test_confusion_has_the_true_class_along_rows():
    targets, predictions, _, _ = clips()
    assert (confusion_counts(targets, predictions, 4) == confusion_matrix(targets, predictions, labels=range(4))).all()


def test_a_class_that_never_occurs_does_not_lower_the_averages():
    scores = scores_of(confusion_counts([0, 0, 1, 1], [0, 0, 1, 1], 8))
    assert scores == {"uar": 1.0, "wa": 1.0, "macro_f1": 1.0}


def test_brier_and_log_likelihood_equal_those_of_scikit_learn():
    targets, _, probabilities, _ = clips()
    found = calibration(targets, probabilities)
    assert found["brier"] == pytest.approx(brier_score_loss(targets, probabilities, scale_by_half=False))
    assert found["nll"] == pytest.approx(log_loss(targets, probabilities))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    # 100 clips called with 0.9, of which 60 are right: off by 0.3.
    found = calibration([0] * 60 + [1] * 40, np.tile([0.9, 0.1], (100, 1)))
    assert found["ece"] == pytest.approx(0.3)
    assert [b["count"] for b in found["bins"]] == [100]


def test_probabilities_that_tell_the_truth_have_almost_no_calibration_error():
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(4), 20_000)
    targets = (random.random(20_000)[:, None] > probabilities.cumsum(1)).sum(1)
    assert calibration(targets, probabilities)["ece"] < 0.015


def test_certainty_falls_into_the_last_bin():
    assert calibration([0, 1], [[1.0, 0.0], [0.0, 1.0]])["bins"][-1]["high"] == 1.0


def test_interval_contains_the_score_and_is_reproducible():
    targets, predictions, _, speakers = clips()
    interval = bootstrap_interval(targets, predictions, speakers, 4, seed=3)
    for name, value in scores_of(confusion_counts(targets, predictions, 4)).items():
        assert interval[name][0] < value < interval[name][1]
    assert interval["unit"] == "speaker"
    assert interval["units"] == len(set(speakers))
    assert interval == bootstrap_interval(targets, predictions, speakers, 4, seed=3)
    assert interval != bootstrap_interval(targets, predictions, speakers, 4, seed=4)


def test_interval_equals_a_plain_loop_over_resampled_speakers():
    targets, predictions, _, speakers = clips(300, speakers=8)
    random = np.random.default_rng(0)
    names = sorted(set(speakers))
    rows = {name: np.flatnonzero(np.asarray(speakers) == name) for name in names}
    slow = []
    for _ in range(2000):
        drawn = np.concatenate([rows[name] for name in random.choice(names, len(names))])
        # As recall_score(..., average="macro"), which takes a hundred times as long over checking what it is given.
        slow.append(np.mean([(predictions[drawn] == k)[targets[drawn] == k].mean() for k in np.unique(targets[drawn])]))
    fast = bootstrap_interval(targets, predictions, speakers, 4, resamples=4000)["uar"]
    assert fast == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.01)


def test_speakers_who_differ_widen_the_interval():
    # Ten speakers, each all right or all wrong, against the same clips with unknown speakers.
    targets = np.tile([0, 1], 100)
    predictions = np.where(np.arange(200) < 100, targets, 1 - targets)
    by_speaker = bootstrap_interval(targets, predictions, [f"c/{i // 20}" for i in range(200)], 2)
    by_clip = bootstrap_interval(targets, predictions, [None] * 200, 2)
    assert by_clip["units"] == 200
    assert np.diff(by_speaker["uar"]) > 2 * np.diff(by_clip["uar"])


def test_one_speaker_falls_back_to_drawing_clips():
    targets, predictions, _, _ = clips()
    interval = bootstrap_interval(targets, predictions, ["c/1"] * 200, 4)
    assert interval["unit"] == "utterance"
    assert interval["uar"][0] < interval["uar"][1]


def test_metrics_hold_every_part_and_are_plain_json():
    targets, predictions, probabilities, speakers = clips()
    corpora = ["ravdess"] * 120 + ["cremad"] * 80
    found = classification_metrics(targets, predictions, probabilities, speakers, corpora, LABELS, resamples=200)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["count"] == 200
    assert np.sum(found["confusion"]) == 200
    assert list(found["per_class"]) == list(LABELS)
    assert {name: part["count"] for name, part in found["per_corpus"].items()} == {"cremad": 80, "ravdess": 120}
    recalls = [part["recall"] for part in found["per_class"].values()]
    assert found["uar"] == pytest.approx(np.mean(recalls))


def test_a_class_without_clips_has_no_recall():
    found = classification_metrics([0, 1], [0, 2], np.eye(4)[[0, 2]], [None, None], ["a", "a"], LABELS, resamples=10)
    assert found["per_class"]["happy"] == {"precision": 0.0, "recall": None, "f1": None, "support": 0}
    assert found["per_class"]["sad"]["precision"] is None


@pytest.mark.parametrize(
    ("targets", "predictions", "complaint"), [([0, 9], [0, 1], "0 … 3"), ([0, 1], [0, -1], "0 … 3"), ([0, 1, 2], [0, 1], "as many")]
)
def test_arrays_that_do_not_fit_are_refused(targets, predictions, complaint):
    with pytest.raises(ValueError, match=complaint):
        classification_metrics(targets, predictions, np.eye(4)[[0, 1]], [None] * 2, ["a"] * 2, LABELS)


def test_a_large_bootstrap_takes_little_time_and_memory():
    targets, predictions, _, _ = clips(5000)
    interval = bootstrap_interval(targets, predictions, [None] * 5000, 4, resamples=2000)
    assert interval["units"] == 5000
