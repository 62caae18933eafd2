"""Turns, features and poses as a user builds them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.features import QUARANTINE_SCHEMA
from rapport.datasets.listener.build import open_motion
from rapport.datasets.listener.turns import read_turns
from rapport.datasets.prepared import find_prepared, open_prepared
from rapport.ray_jobs.build_listener import run
from rapport.ray_jobs.listener_data.config import BuildListenerConfig
from rapport.ray_jobs.listener_data.sources import published_root
from tests.toy_listener import SESSIONS, prepare_conversations


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    prepare_conversations(root, 4)
    # One turn whose markers were never seen, and one whose motion is missing.
    blind, absent = sorted((root / "raw-iemocap/Session1/sentences/MOCAP_head").glob("Ses01F_*/*_M*.txt"))[:2]
    blind.write_text("\n".join(blind.read_text().splitlines()[:2]) + "\n")
    absent.unlink()
    return root


def build(root: Path, **changes: Any) -> dict[str, Any]:
    return run(BuildListenerConfig.model_validate({"storage": str(root), "chunk_size": 16, **changes}))


@pytest.fixture(scope="module")
def built(root: Path, ray_cluster: dict[str, float]) -> dict[str, Any]:
    return build(root)


def test_a_build_holds_features_and_poses_of_every_turn_and_tells_what_is_left_out(built):
    store, index = open_motion(built["folder"]), read_turns(built["folder"])
    assert built["turns"] == len(index.turns) == 11
    assert len(store) == built["utterances"] == 10
    assert {turn.session for turn in index.turns} == set(SESSIONS)
    assert built["dropped"] == index.reasons == {"no_motion": 1, "own_turn": 12}
    assert built["reasons"] == {"motion_empty": 1}
    table = storage.read_table(storage.join(built["folder"], "quarantine.parquet"))
    assert table.schema == QUARANTINE_SCHEMA
    assert len(table) == 1
    for turn in index.turns:
        if turn.turn_id in store:
            features, pose = store.get(turn.turn_id)
            assert features.shape == (len(pose), 32)
            assert len(pose) == pytest.approx(30 * turn.duration_s, abs=1)


def test_what_is_built_is_found_again_and_other_features_are_built_beside_it(built, root):
    again = build(root)
    assert again["folder"] == built["folder"]
    assert again["chunks_reused"] == again["chunks"]
    slow = build(root, front_end={"kind": "causal", "frame_rate_hz": 25})
    assert slow["folder"] != built["folder"]
    assert slow["frames"] < built["frames"]


def test_a_turn_that_is_not_prepared_is_named_among_the_dropped(built, root, monkeypatch):
    lost = read_turns(built["folder"]).turns[0].turn_id
    corpus = open_prepared(find_prepared(str(root), "iemocap"))
    places = {name: place for name, place in corpus.places.items() if name != lost}
    less = replace(corpus, rows=[row for row in corpus.rows if row.utterance_id != lost], places=places)
    monkeypatch.setattr("rapport.datasets.prepared.open_prepared", lambda path: less)
    result = build(root, front_end={"kind": "causal", "frame_rate_hz": 40})
    index = read_turns(result["folder"])
    assert result["turns"] == len(index.turns) == built["turns"] - 1
    assert result["dropped"] == index.reasons == {**built["dropped"], "not_prepared": 1}
    (dropped,) = (dropped for dropped in index.dropped if dropped.reason == "not_prepared")
    assert dropped.turn_id == lost
    assert corpus.path in dropped.message


def test_too_many_turns_without_motion_fail_the_build(built, root):
    with pytest.raises(RapportError, match=r"1 of 11 .* max_quarantined_fraction 0 "):
        build(root, max_quarantined_fraction=0)


def test_a_corpus_whose_own_folder_is_gone_is_told_of(built, root):
    corpus = open_prepared(find_prepared(str(root), "iemocap"))
    (root / "raw-iemocap").rename(root / "elsewhere")
    with pytest.raises(RapportError, match=r"raw-iemocap, which is not there.*--root"):
        published_root(corpus)
    (root / "elsewhere").rename(root / "raw-iemocap")
