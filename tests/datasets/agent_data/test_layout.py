"""Names, numbers and counts are those of the published data; held-out things lie on the test side alone."""

from collections import Counter

import pytest

from rapport.core.config import ConfigError, with_values
from rapport.core.errors import RapportError
from rapport.datasets.agent_data.config import AgentDataConfig, published_config
from rapport.datasets.agent_data.layout import DataItem, PlannedClip, PlannedPicture, plan_clips, plan_pictures

PUBLISHED = published_config({})


def items(count: int) -> list[DataItem]:
    return [DataItem(i + 1, f"item_{chr(97 + i)}", "a prompt", "af_heart") for i in range(count)]


def plan(config: AgentDataConfig, given: list[DataItem]) -> tuple[list[PlannedPicture], list[PlannedClip], list[PlannedClip]]:
    pictures = plan_pictures(given, config)
    return pictures, *plan_clips(pictures, given, lambda name, index: f"say {index} {name}", config)


@pytest.mark.parametrize(("count", "images", "clean", "noisy"), [(20, 2400, 100, 12_000), (10, 1200, 50, 6_000)])
def test_published_volumes(count: int, images: int, clean: int, noisy: int) -> None:
    pictures, plain, hissing = plan(PUBLISHED, items(count))
    assert (len(pictures), len(plain), len(hissing)) == (images, clean, noisy)
    captions = Counter(clip.side for clip in hissing)
    assert captions == {"train": count * 450, "val": count * 100, "test": count * 50}
    assert len({p.path for p in pictures}) == images
    assert len({c.path for c in [*plain, *hissing]}) == clean + noisy


def test_published_names_and_numbers() -> None:
    pictures, clean, noisy = plan(PUBLISHED, items(1))
    home = "pretrain/Image/item_a"
    by_path = {p.path: p for p in pictures}
    # Numbers follow the order of paths, in which group10 comes before group1.
    assert by_path[f"{home}/train_number1/group10_1.jpg"].number == 0
    assert [p.number for p in sorted(pictures, key=lambda p: p.path) if p.side == "train"] == list(range(90))
    assert by_path[f"{home}/train_number3/group9_2.jpg"].number == 89
    assert {p.number for p in pictures if p.side == "val"} == set(range(90, 110))
    assert {p.number for p in pictures if p.side == "test"} == set(range(110, 120))
    assert by_path[f"{home}/test_number3/group5_2.jpg"].side == "test"
    assert [c.path for c in clean] == [f"pretrain/Audio/item_a/item_a_{i}.wav" for i in range(5)]
    last = noisy[-1]
    assert last.path == "pretrain/Audio/item_a/item_a_4_119.wav"
    assert last.source == "pretrain/Audio/item_a/item_a_4.wav"
    assert last.text == "say 4 item_a"


def test_small_defaults() -> None:
    pictures, _, noisy = plan(AgentDataConfig(), items(2))
    assert Counter(p.side for p in pictures) == {"train": 24, "val": 8, "test": 4}
    assert len(noisy) == 3 * len(pictures)


def test_settings_of_an_experiment() -> None:
    config = published_config(
        {
            "audio": {"noise_num": 4, "SNR": 20, "voice": "af_bella"},
            "image": {"train_images_per_folder": 6, "test_images_per_folder": 3, "model": {"height": 128, "width": 96}},
        }
    )
    assert (config.speech.utterances, config.speech.snr_db, config.speech.voices) == (4, 20, ("af_bella",))
    assert (config.pictures.train_per_folder, config.pictures.test_per_folder) == (6, 3)
    assert (config.pictures.height, config.pictures.width) == (128, 96)


def test_held_out_items_are_on_the_test_side_alone() -> None:
    pictures, _, noisy = plan(with_values(AgentDataConfig(), {"held_out.items": ("Item A",)}), items(3))
    assert {p.side for p in pictures if p.item_id == 1} == {"test"}
    assert {c.side for c in noisy if c.item_id == 1} == {"test"}
    assert {p.side for p in pictures if p.item_id == 2} == {"train", "val", "test"}


def test_held_out_voices_and_patterns() -> None:
    config = with_values(
        AgentDataConfig(),
        {"speech.voices": ("ann", "bob", "cid"), "held_out.voices": ("cid",), "speech.utterances": 4, "held_out.patterns": (1,)},
    )
    _, clean, noisy = plan(config, items(2))
    learnt = [c for c in noisy if c.side != "test"]
    tested = [c for c in noisy if c.side == "test"]
    assert {c.voice for c in learnt} == {"ann", "bob"}
    assert {c.pattern for c in learnt} == {0, 2, 3}
    assert {(c.voice, c.pattern) for c in tested} == {("cid", 1)}
    # Voices take turns, and every clean clip is one that something is made of.
    assert Counter(c.voice for c in learnt)["ann"] == len(learnt) / 2
    assert {c.path for c in clean} == {c.source for c in noisy}
    assert "pretrain/Audio/item_a/item_a_0.wav" in {c.path for c in clean if c.voice == "ann"}
    assert "pretrain/Audio/item_a/item_a_0@bob.wav" in {c.path for c in clean if c.voice == "bob"}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"held_out.patterns": (3,)}, "below speech.utterances"),
        ({"held_out.patterns": (0, 1, 2)}, "holds out all"),
        ({"held_out.voices": ("bob",)}, "speech.voices"),
        ({"speech.voices": ("bob",), "held_out.voices": ("bob",)}, "leave one to train on"),
    ],
)
def test_settings_that_leave_nothing_to_train_on(values: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        with_values(AgentDataConfig(), values)


def test_items_that_cannot_be_planned() -> None:
    with pytest.raises(RapportError, match="did you mean 'item a'"):
        plan(with_values(AgentDataConfig(), {"held_out.items": ("item_q",)}), [*items(1), DataItem(9, "x", "", "v")])
    with pytest.raises(RapportError, match="all 1 items"):
        plan(with_values(AgentDataConfig(), {"held_out.items": ("item_a",)}), items(1))
    with pytest.raises(RapportError, match="cannot name a folder"):
        plan(AgentDataConfig(), [DataItem(1, "../apple", "", "v")])
    with pytest.raises(RapportError, match="same name"):
        plan(AgentDataConfig(), [DataItem(1, "green_tea", "", "v"), DataItem(2, "Green tea", "", "v")])
    with pytest.raises(RapportError, match="speaker_description"):
        plan(AgentDataConfig(), [DataItem(1, "tea", "", "")])
