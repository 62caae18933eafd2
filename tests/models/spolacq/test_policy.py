from dataclasses import replace

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.saving import ModelError
from rapport.models.spolacq.policy import AgentPolicy, ChoiceCritic, FeatureCritic, Layout, Value, common_scale
from rapport.models.spolacq.policy_config import PolicyConfig

PUBLISHED = PolicyConfig(symmetric=False, normalise=False)
LAYOUT = Layout(numbers=3, features=5, sentence=4)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def observations(count=6, layout=LAYOUT):
    return np.random.default_rng(0).normal(size=(count, layout.width)).astype(np.float32)


def swapped(rows, layout=LAYOUT):
    numbers, left, right = np.split(rows, [layout.numbers, layout.numbers + layout.features], axis=1)
    return np.concatenate([numbers, right, left], axis=1)


def trained(module):
    return sum(p.numel() for p in module.parameters())


def test_published_networks_have_the_published_sizes():
    layout = Layout(numbers=3, features=768, sentence=8)
    actor = AgentPolicy(layout, PUBLISHED).actor
    assert trained(actor) == 62_066
    assert trained(FeatureCritic(actor.views, PUBLISHED)) == 2 * (926 * 926 + 926) + 926


def test_a_symmetric_policy_follows_the_pictures_when_they_change_places():
    policy = AgentPolicy(LAYOUT, PolicyConfig()).eval()
    rows = observations(200)
    images, sentences = policy.act(rows)
    images_swapped, sentences_swapped = policy.act(swapped(rows))
    assert (images != images_swapped).all()
    np.testing.assert_allclose(sentences, sentences_swapped, atol=1e-5)


@pytest.mark.parametrize("config", [PolicyConfig(), PUBLISHED])
@pytest.mark.parametrize("pictures", [1, 2, 4])
def test_every_picture_on_show_can_be_chosen(config, pictures):
    layout = replace(LAYOUT, pictures=pictures)
    rows = observations(300, layout)
    assert ChoiceCritic(layout, config, estimates=7)(torch.from_numpy(rows), torch.zeros(300, 4)).shape == (300, pictures, 7)
    assert Value(layout, config)(torch.from_numpy(rows)).shape == (300,)
    policy = AgentPolicy(layout, config)
    chosen = set(policy.act(rows)[0].tolist())
    # A published network that has learned nothing may well prefer a place.
    assert chosen == set(range(pictures)) if config.symmetric else chosen <= set(range(pictures))


def test_pictures_are_read_on_a_common_scale():
    rng = np.random.default_rng(1)
    pictures = rng.normal(5.0, [3.0, 4.0, 1e-9], (4000, 3))
    centre, scale = common_scale(pictures, numbers=2)
    assert (centre[:2], scale[:2]) == ((0.0, 0.0), (1.0, 1.0))
    np.testing.assert_allclose(scale[2:], np.sqrt(25 / 3), rtol=0.05)
    views = AgentPolicy(Layout(2, 3, 4, centre=centre, scale=scale), PolicyConfig()).actor.views
    scaled = views.common_scale(torch.tensor(pictures, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(scaled.mean(0), 0.0, atol=1e-3)
    assert np.sqrt(scaled.var(0).mean()) == pytest.approx(1.0, rel=1e-3)
    assert scaled[:, 2].std() < 1e-6


@pytest.mark.parametrize("squashed", [False, True])
def test_sentence_embeddings_stay_within_their_limit(squashed):
    policy = AgentPolicy(replace(LAYOUT, limit=0.5), PolicyConfig(), squashed=squashed).eval()
    _, sentences = policy.act(observations(50))
    assert np.abs(sentences).max() <= 0.5
    assert np.abs(sentences).max() > 0.2


def test_a_policy_comes_back_from_its_folder(tmp_path):
    layout = Layout(3, 5, 4, centre=tuple(range(8)), scale=tuple(range(1, 9)))
    policy = AgentPolicy(layout, PolicyConfig(head_width=9), deviations=5, squashed=True).eval()
    policy.save_pretrained(tmp_path, card="# A policy\n", facts={"task": "cafe"})
    back = AgentPolicy.from_pretrained(tmp_path)
    assert (back.layout, back.config, back.squashed) == (layout, policy.config, True)
    for before, after in zip(policy.act(observations()), back.act(observations()), strict=True):
        np.testing.assert_array_equal(before, after)


def test_observations_and_layouts_that_do_not_fit_are_told(tmp_path):
    policy = AgentPolicy(LAYOUT, PolicyConfig())
    with pytest.raises(RapportError, match=r"\(2, 12\).*rows of 13"):
        policy.act(np.zeros((2, 12), np.float32))
    with pytest.raises(RapportError, match="centre has 2 values: wanted 3 numbers"):
        Layout(3, 5, 4, centre=(0.0, 1.0))
    with pytest.raises(ModelError, match="does not exist"):
        AgentPolicy.from_pretrained(tmp_path / "absent")
