import pickle
from pathlib import Path

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.core.units import SpeechUnits
from rapport.datasets.unit_store import find_units, open_units
from tests.toy_units import write_store


def speech(seed: int, frames: int, clusters: int = 50, width: int = 4) -> SpeechUnits:
    random = np.random.default_rng(seed)
    return SpeechUnits.of(random.integers(0, clusters, frames).repeat(2), random.normal(size=(2 * frames, width)).astype(np.float32))


@pytest.fixture
def clips() -> dict[str, SpeechUnits]:
    return {f"toy/{i}": speech(i, 3 + 5 * i) for i in range(5)}


def test_what_was_stored_comes_back(tmp_path: Path, clips: dict[str, SpeechUnits]) -> None:
    store = open_units(write_store(tmp_path, clips))
    assert sorted(store) == sorted(clips)
    assert store.width == 4
    for name, wanted in clips.items():
        found = store.get(name)
        for field in ("ids", "units", "runs"):
            assert getattr(found, field).dtype == np.int32
            np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field))
        np.testing.assert_array_equal(found.residuals, wanted.residuals)
        assert store.lengths(name) == (len(wanted.ids), len(wanted.units))
        assert store.get(name, residuals=False).residuals is None


def test_large_units_and_long_runs_survive(tmp_path: Path) -> None:
    wanted = SpeechUnits.of(np.repeat([70_000, 3], [70_000, 1]))
    store = open_units(write_store(tmp_path, {"toy/0": SpeechUnits.of([1]), "toy/1": wanted}, clusters=80_000))
    assert store.get("toy/1").units.tolist() == [70_000, 3]
    assert store.get("toy/1").runs.tolist() == [70_000, 1]


def test_another_codebook_is_refused_with_both_named(tmp_path: Path, clips: dict[str, SpeechUnits]) -> None:
    folder = write_store(tmp_path, clips, "a" * 64)
    assert len(open_units(folder, "a" * 64)) == 5
    with pytest.raises(RapportError, match=f"{'a' * 64}.*{'b' * 64}"):
        open_units(folder, "b" * 64)


def test_several_corpora_read_as_one_when_their_codebook_is_the_same(tmp_path: Path, clips: dict[str, SpeechUnits]) -> None:
    first = write_store(tmp_path / "a", clips)
    second = write_store(tmp_path / "b", {"other/0": speech(9, 4)})
    both = open_units([first, second])
    assert len(both) == 6
    np.testing.assert_array_equal(both.get("other/0").ids, speech(9, 4).ids)
    with pytest.raises(RapportError, match="codebook_hash differs"):
        open_units([first, write_store(tmp_path / "c", {"third/0": speech(9, 4)}, "1" * 64)])
    with pytest.raises(RapportError, match="name each corpus once"):
        open_units([first, first])


def test_a_copy_for_another_process_is_small_and_reads_the_same(tmp_path: Path, clips: dict[str, SpeechUnits]) -> None:
    store = open_units(write_store(tmp_path, clips))
    store.get("toy/3")
    data = pickle.dumps(store)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).get("toy/3").residuals, clips["toy/3"].residuals)  # noqa: S301


def test_an_unknown_utterance_and_a_missing_store_are_told(tmp_path: Path, clips: dict[str, SpeechUnits]) -> None:
    with pytest.raises(RapportError, match="no units of 'toy/99'"):
        open_units(write_store(tmp_path / "store", clips)).get("toy/99")
    with pytest.raises(RapportError, match="does not exist"):
        open_units(tmp_path / "none")


def test_the_newest_store_of_a_codebook_is_found(tmp_path: Path, clips: dict[str, SpeechUnits]) -> None:
    home = tmp_path / "features" / "units" / "toy"
    write_store(home / "first", clips, "a" * 64)
    write_store(home / "second", clips, "b" * 64)
    assert find_units(str(tmp_path), "toy").endswith("second")
    assert find_units(str(tmp_path), "toy", "a" * 64).endswith("first")
    with pytest.raises(RapportError, match="--corpora toy"):
        find_units(str(tmp_path), "toy", "c" * 64)


def test_a_damaged_shard_is_named(tmp_path: Path, clips: dict[str, SpeechUnits]) -> None:
    store = open_units(write_store(tmp_path, clips))
    shard = tmp_path / "shards" / "shard-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(RapportError, match=r"shard-00001.*extract_features again"):
        store.get("toy/4")
