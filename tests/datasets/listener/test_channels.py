from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.datasets.listener.channels import speaker_channels

TURNS = {"F": [(0.0, 1.0), (2.0, 3.0)], "M": [(1.0, 2.0)]}


def write(path: Path, left: tuple[float, ...], right: tuple[float, ...]) -> str:
    """A recording whose channels have these levels, second by second."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 3, 16_000))
    levels = np.array([left, right])[:, :, None]
    soundfile.write(path, (noise * levels).reshape(2, -1).T, 16_000)
    return str(path)


@pytest.mark.parametrize("woman", [0, 1])
def test_whoever_is_louder_in_a_channel_owns_it(tmp_path: Path, woman: int) -> None:
    levels = [(1.0, 0.2, 1.0), (0.2, 1.0, 0.2)]
    path = write(tmp_path / "a.wav", levels[woman], levels[1 - woman])
    assert speaker_channels(path, TURNS) == {"F": woman, "M": 1 - woman}


def test_a_channel_that_is_louder_throughout_does_not_decide(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", (1.0, 0.5, 1.0), (0.1, 0.1, 0.1))
    assert speaker_channels(path, TURNS) == {"F": 0, "M": 1}


def test_what_does_not_tell_is_left_open(tmp_path: Path) -> None:
    same = write(tmp_path / "same.wav", (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    assert speaker_channels(same, TURNS) == {}
    told = write(tmp_path / "told.wav", (1.0, 0.2, 1.0), (0.2, 1.0, 0.2))
    assert speaker_channels(told, {"F": [(0.0, 1.0)], "M": []}) == {}
    assert speaker_channels(told, {"F": [(0.0, 1.0)], "M": [(7.0, 8.0)]}) == {}
    soundfile.write(tmp_path / "mono.wav", np.full(48_000, 0.1), 16_000)
    assert speaker_channels(str(tmp_path / "mono.wav"), TURNS) == {}
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    assert speaker_channels(str(tmp_path / "broken.wav"), TURNS) == {}
