import numpy as np
import pytest

from rapport.training.motion_published import KERNEL, published_scores, published_smoothing


def test_the_kernel_is_the_published_one():
    wanted = [0.037, 0.061, 0.090, 0.118, 0.140, 0.148, 0.140, 0.118, 0.090, 0.061]
    np.testing.assert_allclose(KERNEL, wanted, atol=6e-4)
    assert KERNEL.sum() == pytest.approx(1)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_the_filter_is_that_of_torch_with_same_padding():
    import torch

    motion = np.random.default_rng(0).normal(size=(40, 3))
    padded = torch.nn.functional.conv1d(torch.tensor(motion.T[:, None]), torch.tensor(KERNEL[None, None]), padding="same")
    np.testing.assert_allclose(published_smoothing(motion), padded[:, 0].numpy().T, atol=1e-12)


def test_the_ends_are_drawn_towards_zero_as_published():
    smooth = published_smoothing(np.ones((60, 3)))
    assert smooth[0, 0] == pytest.approx(0.70, abs=0.006)
    assert smooth[-1, 0] == pytest.approx(0.44, abs=0.006)
    assert (1 - smooth[:, 0]).sum() == pytest.approx(2.07, abs=0.01)  # frames' worth of the offset of a turn
    np.testing.assert_allclose(smooth[4:-5], 1)


def test_the_filter_shifts_by_most_of_a_frame():
    ramp = np.repeat(np.arange(60.0)[:, None], 3, axis=1)
    np.testing.assert_allclose((published_smoothing(ramp) - ramp)[4:-5], 0.82, atol=0.01)


def test_even_a_perfect_prediction_has_an_error_and_turns_count_alike():
    still = np.full((60, 3), 10.0)
    short, long = (still[:20], still[:20]), (still, still)
    one, other, both = published_scores([short]), published_scores([long]), published_scores([short, long])
    assert one["mae_deg"] == pytest.approx(10 * 2.07 / 20, abs=0.01)
    assert both["mae_deg"] == pytest.approx((one["mae_deg"] + other["mae_deg"]) / 2)
    assert both["within_turn_std_deg"] == pytest.approx((one["within_turn_std_deg"] + other["within_turn_std_deg"]) / 2)
    assert both["turns"] == 2
    assert np.isnan(both["pearson"])


def test_all_is_the_mean_of_the_three_angles():
    random = np.random.default_rng(1)
    found = published_scores([(random.normal(size=(50, 3)), random.normal(size=(50, 3)) * [1, 5, 9]) for _ in range(4)])
    for name, unit in (("mae", "_deg"), ("within_turn_std", "_deg"), ("pearson", "")):
        assert found[name + unit] == pytest.approx(np.mean([found[f"{name}_{angle}{unit}"] for angle in ("roll", "pitch", "yaw")]))


def test_a_turn_that_does_not_move_has_no_correlation_and_spoils_no_other():
    random = np.random.default_rng(2)
    truth = random.normal(size=(50, 3)).cumsum(0)
    found = published_scores([(truth, truth), (np.zeros((50, 3)), truth)])
    smooth = published_smoothing(truth)
    assert found["pearson_roll"] == pytest.approx(np.corrcoef(truth[:, 0], smooth[:, 0])[0, 1])


def test_a_prediction_that_is_not_finite_is_not_hidden():
    truth = np.zeros((50, 3))
    assert np.isnan(published_scores([(truth, truth), (truth, truth * np.nan)])["mae_deg"])


def test_empty_turns_are_left_out_and_lengths_must_agree():
    assert published_scores([(np.zeros((0, 3)), np.zeros((0, 3)))])["turns"] == 0
    with pytest.raises(ValueError, match=r"\(5, 3\)"):
        published_scores([(np.zeros((5, 3)), np.zeros((6, 3)))])
