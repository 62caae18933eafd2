"""Keys of requests: equal ones share a key, however often and in whatever array they come."""

from dataclasses import replace

import numpy as np
import pytest

from rapport.simulator.request_keys import RequestKeys
from rapport.simulator.requests import HearingRequest, JudgeRequest, PictureRequest, SpeechRequest

TURN = JudgeRequest("prompt", "apple", ("apple", "egg"), ((1, "Stop"),), 7)


def waveform(seed: int = 0, *, lasting: bool = True) -> np.ndarray:
    samples = np.random.default_rng(seed).normal(0, 0.1, 2000).astype(np.float32)
    samples.setflags(write=not lasting)
    return samples


def key(request, *, version="1", keys=None):
    return (keys or RequestKeys()).key(request, version)


@pytest.mark.parametrize("lasting", [True, False])
def test_equal_samples_share_a_key_whatever_array_they_are_in(lasting: bool) -> None:
    keys = RequestKeys()
    first = key(HearingRequest(waveform(), 16_000), keys=keys)
    assert key(HearingRequest(waveform(lasting=lasting), 16_000), keys=keys) == first
    assert key(HearingRequest(waveform(), 16_000)) == first, "also in another process"
    assert key(HearingRequest(waveform(1), 16_000), keys=keys) != first
    assert key(HearingRequest(waveform(), 22_050), keys=keys) != first


def test_an_array_that_was_written_to_has_another_key() -> None:
    keys, samples = RequestKeys(), waveform(lasting=False)
    first = key(HearingRequest(samples, 16_000), keys=keys)
    samples[7] += 0.1
    assert key(HearingRequest(samples, 16_000), keys=keys) != first


def test_an_array_in_the_place_of_one_that_is_gone_has_its_own_key() -> None:
    keys = RequestKeys()
    found = {key(HearingRequest(waveform(seed), 16_000), keys=keys) for seed in range(200)}  # each is gone before the next is made
    assert len(found) == 200


@pytest.mark.parametrize(
    "other",
    [
        replace(TURN, prompt="another"),
        replace(TURN, heard="egg"),
        replace(TURN, offered=("egg", "apple")),
        replace(TURN, moves=()),
        replace(TURN, seed=8),
    ],
)
def test_every_field_that_is_read_counts(other: JudgeRequest) -> None:
    keys = RequestKeys()
    assert key(other, keys=keys) != key(TURN, keys=keys)
    assert key(other, keys=keys) == key(other)


def test_fields_that_are_not_read_do_not_count() -> None:
    keys = RequestKeys(unread=("seed", "prompt"))
    assert key(replace(TURN, seed=8, prompt="another"), keys=keys) == key(TURN, keys=keys)
    assert key(replace(TURN, heard="egg"), keys=keys) != key(TURN, keys=keys)


def test_versions_and_kinds_do_not_share_keys() -> None:
    keys = RequestKeys()
    line = SpeechRequest("hello", "af_heart", 22_050)
    drawn = PictureRequest(1, "apple", "an apple", "train", None, 3, 64, 64)
    asked = [(line, "1"), (line, "2"), (drawn, "1"), (replace(drawn, index=0), "1")]
    assert len({key(request, version=version, keys=keys) for request, version in asked}) == 4
