import numpy as np
import pytest
from scipy import signal

from rapport.training.motion_metrics import MotionTally
from rapport.training.motion_pairs import MotionPair

RATE = 30


def moved(frames, seed, delay=12):
    """A speaker's loudness and a listener whose head follows it, with a pose and noise of their own."""
    random = np.random.default_rng(seed)
    loudness = signal.lfilter(np.ones(6) / 6, 1, random.normal(size=frames + delay)) * 10
    noise = signal.lfilter(np.ones(9) / 9, 1, random.normal(size=(frames, 3)), axis=0)
    return loudness[delay:], loudness[:frames, None] * [0.2, 1.0, 0.3] + noise + random.normal(size=3) * 20


def pairs(predict, turns=24, frames=150, groups=4):
    found = []
    for turn in range(turns):
        loudness, truth = moved(frames, turn)
        found.append(MotionPair(f"turn {turn}", f"fold {turn % groups}", truth, predict(truth, loudness), {"loudness": loudness}))
    return found


def follower(truth, loudness):
    late = loudness[np.maximum(0, np.arange(len(loudness)) - 12)]
    return late[:, None] * [0.2, 1.0, 0.3]


def mean_pose(truth, loudness):
    return np.zeros_like(truth)


def tally(predict, **how):
    made = MotionTally(RATE, ("loudness",))
    made.add(pairs(predict, **how))
    return made


@pytest.fixture(scope="module")
def report():
    return tally(follower).report(resamples=200)


def test_every_figure_is_a_value_within_its_interval(report):
    assert len(report["figures"]) > 70
    for name, figure in report["figures"].items():
        assert set(figure) == {"value", "low", "high"}
        assert all(np.isfinite(list(figure.values()))), name
        assert figure["low"] <= figure["high"], name
    errors = report["figures"]["offset_removed_mae_deg"]
    assert errors["low"] < errors["value"] < errors["high"]


def test_the_report_tells_what_was_scored_and_what_was_drawn_again(report):
    assert {name: report[name] for name in ("turns", "frames", "seconds")} == {"turns": 24, "frames": 3600, "seconds": 120}
    assert report["unscored_turns"] == report["unscored_frames"] == report["prediction_frames_not_finite"] == 0
    assert report["interval"] == {"level": 0.95, "unit": "group", "units": 4, "resamples": 200}
    assert sorted(report["per_group"]) == [f"fold {i}" for i in range(4)]
    folds = [figures["mae_deg"] for figures in report["per_group"].values()]
    assert np.mean(folds) == pytest.approx(report["figures"]["mae_deg"]["value"])  # the folds are alike in frames
    assert len(report["curves"]["lags"]["pitch"]) == len(report["curves"]["lags"]["lags_s"])
    assert len(report["curves"]["spectra"]["truth_yaw"]) == len(report["curves"]["spectra"]["frequencies_hz"])


def test_figures_of_some_groups_are_those_of_their_turns_alone():
    some, alone = pairs(follower), MotionTally(RATE, ("loudness",))
    alone.add([pair for pair in some if pair.group in ("fold 1", "fold 3")])
    found = tally(follower).figures_of({"fold 1", "fold 3"})
    assert found == pytest.approx({name: figure["value"] for name, figure in alone.report(resamples=2)["figures"].items()})
    assert tally(follower).figures_of({"fold 9"}) == {}


def test_the_planted_lag_behind_the_speaker_is_recovered(report):
    figures = report["figures"]
    for name in ("loudness_pitch_lag_s", "truth_loudness_pitch_lag_s"):
        assert figures[name]["value"] == pytest.approx(0.4, abs=1 / RATE)
    assert figures["lag_pitch_s"]["value"] == 0


def test_one_who_follows_the_speaker_beats_the_mean_pose_beyond_doubt():
    differences = tally(follower).minus(tally(mean_pose), resamples=200)
    assert differences["offset_removed_mae_deg"]["high"] < 0
    assert differences["lagged_correlation"]["low"] > 0
    assert differences["frechet_deg2"]["high"] < 0
    assert "lag_s" not in differences  # the mean pose has none


def test_the_truth_itself_is_perfect():
    figures = {name: figure["value"] for name, figure in tally(lambda truth, _: truth).report(resamples=10)["figures"].items()}
    for name in ("mae_deg", "rmse_deg", "geodesic_deg", "jerk_mae_deg_s3", "spectrum_error_db", "speed_wasserstein_deg_s", "frechet_deg2"):
        assert figures[name] == pytest.approx(0, abs=1e-6)
    for name in ("correlation", "lagged_correlation", "coherence_middle", "variance_ratio", "range_ratio", "power_ratio_fast"):
        assert figures[name] == pytest.approx(1)
    for name, value in figures.items():
        if name.startswith("truth_"):
            assert figures[name.removeprefix("truth_")] == pytest.approx(value)


def test_turns_are_drawn_again_where_groups_are_not_known():
    made = MotionTally(RATE, ("loudness",))
    made.add([MotionPair(p.turn_id, None, p.truth, p.prediction, p.speaker) for p in pairs(follower)])
    found = made.report(resamples=20)
    assert found["interval"]["unit"] == "turn"
    assert 20 <= found["interval"]["units"] <= 24  # two turns may share a bin
    assert found["per_group"] == {}


def test_neither_the_order_of_turns_nor_how_they_are_handed_in_matters():
    forth, back = MotionTally(RATE, ("loudness",)), MotionTally(RATE, ("loudness",))
    forth.add(pairs(follower))
    for pair in reversed(pairs(follower)):
        back.add([pair])
    first, second = forth.report(resamples=20)["figures"], back.report(resamples=20)["figures"]
    for name in first:
        assert first[name] == pytest.approx(second[name]), name


def test_what_is_not_finite_is_left_out_and_told_of():
    truth, given = np.zeros((100, 3)), np.zeros((100, 3))
    truth[:10], given[80:, 1] = np.nan, np.inf
    made = MotionTally(RATE)
    made.add([MotionPair("a", "x", truth, given), MotionPair("b", "y", truth, truth * np.nan), MotionPair("c", "z", truth[:3], given[:3])])
    found = made.report(resamples=10)
    assert (found["turns"], found["frames"], found["unscored_turns"]) == (1, 70, 2)
    assert found["unscored_frames"] == 30 + 100 + 3
    assert found["prediction_frames_not_finite"] == 20 + 90
    assert found["figures"]["mae_deg"]["value"] == 0


def test_the_shortest_turns_and_still_heads_give_finite_figures_without_a_warning(recwarn):
    made = MotionTally(RATE, ("loudness",))
    for frames in (4, 5, 29, 31, 130):
        still = np.zeros((frames, 3))
        made.add([MotionPair(f"{frames}", f"{frames}", still, still + 1, {"loudness": np.full(frames, -np.inf)})])
    figures = made.report(resamples=20)["figures"]
    assert all(np.isfinite(figure["value"]) for figure in figures.values())
    assert figures["mae_deg"]["value"] == 1
    assert not recwarn.list


def test_no_turns_give_no_figures():
    found = MotionTally(RATE).report()
    assert (found["figures"], found["turns"]) == ({}, 0)


def test_predictions_of_other_turns_cannot_be_compared():
    with pytest.raises(ValueError, match=r"3600 frames of 24 turns and 3450 frames of 23 turns"):
        tally(follower).minus(tally(mean_pose, turns=23))


def test_a_turn_without_the_speakers_signal_is_refused():
    with pytest.raises(KeyError, match="loudness"):
        MotionTally(RATE, ("loudness",)).add([MotionPair("t", "f", np.zeros((9, 3)), np.zeros((9, 3)))])
