"""The image-to-unit model: step by step it is the network that was trained at once."""

import pytest
import torch

from rapport.models.spolacq.captions import PAD
from rapport.models.spolacq.config import ImageToUnitsConfig
from rapport.models.spolacq.i2u import ImageToUnits, normal_divergence

SMALL = ImageToUnitsConfig(width=16, layers=2, heads=2, hidden=32, max_units=8, sentence_width=3)


def model(feature_width: int = 5, config: ImageToUnitsConfig = SMALL) -> ImageToUnits:
    torch.manual_seed(0)
    return ImageToUnits(config, feature_width, 9).eval()


ROWS = torch.tensor([[7, 1, 2, 3, 8, PAD, PAD], [7, 4, 5, 1, 1, 2, 8]])


def test_steps_with_kept_keys_give_the_scores_of_the_whole() -> None:
    network = model()
    features, sentences = torch.randn(2, 5), torch.randn(2, 3)
    whole = network(features, sentences, ROWS)
    kept = network.start(network.memory(features, sentences))
    for place in range(ROWS.shape[1]):
        torch.testing.assert_close(network.step(ROWS[:, place], place, kept), whole[:, place], atol=1e-5, rtol=1e-4)


def test_a_unit_does_not_know_those_that_follow() -> None:
    network = model()
    features, sentences = torch.randn(2, 5), torch.randn(2, 3)
    changed = ROWS.clone()
    changed[:, 4:] = 6
    left, right = network(features, sentences, ROWS), network(features, sentences, changed)
    torch.testing.assert_close(left[:, :4], right[:, :4])
    assert not torch.allclose(left[:, 4:], right[:, 4:])


def test_padding_changes_neither_embedding_nor_loss() -> None:
    network = model()
    features = torch.randn(2, 5)
    padded = torch.cat([ROWS, torch.zeros(2, 3, dtype=torch.long)], 1)
    torch.testing.assert_close(network.sentence(ROWS[:1]), network.sentence(ROWS[:1, :5]))
    torch.testing.assert_close(network.loss(features, ROWS).total, network.loss(features, padded).total)


def test_the_loss_is_cross_entropy_and_weighted_divergence_of_a_caption() -> None:
    network = model()
    loss = network.loss(torch.randn(2, 5), ROWS, torch.randn(2, 3))
    torch.testing.assert_close(loss.total, (loss.cross_entropy + SMALL.kl_weight * loss.divergence) / 2)
    assert int(loss.units) == 4 + 6


def test_a_feature_as_wide_as_the_network_is_memory_as_it_is() -> None:
    network = model(16)
    features = torch.randn(2, 16)
    torch.testing.assert_close(network.memory(features, torch.zeros(2, 3))[:, 0], features)


def test_features_are_standardised_where_the_settings_say_so() -> None:
    features = 3 + 5 * torch.randn(50, 5)
    for standardise in (True, False):
        network = model(config=SMALL.model_copy(update={"standardise": standardise}))
        network.fit_features(features)
        scaled = (features - network.feature_mean) * network.feature_scale
        assert bool((scaled.std(0) < 1.01).all() and (scaled.mean(0).abs() < 0.01).all()) is standardise


def test_the_divergence_is_that_of_normal_distributions() -> None:
    mean = torch.tensor([[0.5, -1.0]])
    wanted = torch.distributions.kl_divergence(torch.distributions.Normal(mean, 0.1), torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(normal_divergence(mean, 0.1), wanted)


def test_an_uneven_share_of_width_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        ImageToUnitsConfig(width=30, heads=4)
