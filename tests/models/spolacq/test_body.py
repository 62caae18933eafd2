"""A body sees, says, and comes back from its folder."""

import json
from pathlib import Path

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.backends.asr import pocketsphinx
from rapport.models.saving import ModelError
from rapport.models.spolacq.body import SpolacqBody
from rapport.models.spolacq.captions import Vocabulary
from rapport.models.spolacq.eyes import EmbeddedEyes
from rapport.models.spolacq.voice import SpectrumVoice
from rapport.simulator.body import Body
from tests.models.spolacq import tiny


@pytest.fixture(scope="module")
def body() -> SpolacqBody:
    return tiny.trained_body()


def sentences(count: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(-scale, scale, (count, 8)).astype(np.float32)


def test_a_taught_body_names_pictures_it_never_saw_however_it_says_it(body: SpolacqBody) -> None:
    ears = pocketsphinx.load(sentences=tiny.SENTENCES)
    indices = range(100, 108)
    features = body.see(tiny.pictures(indices))
    heard = [ears.transcribe(clip) for clip in body.say(features, sentences(len(features), 2.5))]
    wanted = [thing for thing in tiny.THINGS for _ in indices]
    assert np.mean([thing in words.split() for thing, words in zip(wanted, heard, strict=True)]) >= 0.9
    assert len(set(heard)) > len(tiny.THINGS)  # and not always in the same words


def test_speech_does_not_depend_on_its_neighbours_nor_on_what_was_said_before(body: SpolacqBody) -> None:
    features = body.see(tiny.pictures(range(3)))
    wanted = sentences(len(features), 2.5)
    together = body.say(features, wanted)
    fresh = SpolacqBody(body.config, body.eyes, body.speller, body.vocabulary, SpectrumVoice(tiny.units()))
    alone = [fresh.say(features[i : i + 1], wanted[i : i + 1])[0] for i in reversed(range(len(features)))][::-1]
    for left, right in zip(together, alone, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_body_comes_back_from_its_folder_the_same(body: SpolacqBody, tmp_path: Path) -> None:
    body.save_pretrained(tmp_path / "body", metrics={"accuracy": 1.0})
    again = SpolacqBody.from_pretrained(tmp_path / "body")
    features = body.see(tiny.pictures(range(2)))
    np.testing.assert_array_equal(again.see(tiny.pictures(range(2))), features)
    for left, right in zip(body.say(features, sentences(6)), again.say(features, sentences(6)), strict=True):
        np.testing.assert_array_equal(left, right)
    assert again.config == body.config
    assert again.rate_hz == body.rate_hz == 16_000


def test_equal_units_are_spoken_once(body: SpolacqBody) -> None:
    features, wanted = body.see(tiny.pictures(range(1))), np.zeros((3, 8), np.float32)
    first = body.say(features, wanted)
    found = body.voice.found
    assert all(a is b for a, b in zip(first, body.say(features, wanted), strict=True))
    assert body.voice.found == found + 3
    assert not first[0].flags.writeable


def test_what_a_simulator_asks_of_a_body_is_there(body: SpolacqBody) -> None:
    wanted: Body = body
    assert (wanted.feature_width, wanted.sentence_width) == (EmbeddedEyes.width, 8)
    assert wanted.see([]).shape == (0, EmbeddedEyes.width)
    assert wanted.say(np.zeros((0, EmbeddedEyes.width), np.float32), np.zeros((0, 8), np.float32)) == []


def test_blank_and_monstrous_features_are_spoken_of_too() -> None:
    body = tiny.untrained_body()
    features = np.stack([np.zeros(EmbeddedEyes.width), np.full(EmbeddedEyes.width, 1e4)]).astype(np.float32)
    clips = body.say(features, np.zeros((2, 8), np.float32))
    assert all(clip.dtype == np.float32 and len(clip) and np.isfinite(clip).all() and np.abs(clip).max() <= 1 for clip in clips)


@pytest.mark.parametrize(
    ("features", "sentence", "message"),
    [
        (np.zeros((1, 3)), np.zeros((1, 8)), r"features are \[1, 3\]: wanted \[N, 76\]"),
        (np.zeros((1, 76)), np.zeros(8), r"sentences are \[8\]: wanted \[N, 8\]"),
        (np.zeros((2, 76)), np.zeros((1, 8)), "2 features and 1 sentences"),
        (np.full((1, 76), np.nan), np.zeros((1, 8)), "not finite"),
    ],
)
def test_actions_of_the_wrong_form_are_refused(features: np.ndarray, sentence: np.ndarray, message: str) -> None:
    with pytest.raises(RapportError, match=message):
        tiny.untrained_body().say(features, sentence)


def test_parts_that_do_not_fit_are_refused() -> None:
    body = tiny.untrained_body()
    with pytest.raises(RapportError, match="ids, the vocabulary 5"):
        SpolacqBody(body.config, body.eyes, body.speller, Vocabulary((7,)), SpectrumVoice(tiny.units()))


def test_folders_that_are_no_body_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        SpolacqBody.from_pretrained(tmp_path / "nothing")
    tiny.untrained_body().save_pretrained(tmp_path / "body")
    config = json.loads((tmp_path / "body" / "config.json").read_text())
    (tmp_path / "body" / "config.json").write_text(json.dumps({**config, "eyes": {"kind": "other"}}))
    with pytest.raises(ModelError, match="learned with the eyes"):
        SpolacqBody.from_pretrained(tmp_path / "body")
    (tmp_path / "body" / "config.json").write_text(json.dumps({**config, "vocabulary": config["vocabulary"][1:]}))
    with pytest.raises(ModelError, match="do not fit"):
        SpolacqBody.from_pretrained(tmp_path / "body")
