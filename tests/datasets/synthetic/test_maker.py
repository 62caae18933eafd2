"""How the work is claimed, made and finished, without a cluster."""

from pathlib import Path

import pytest

from rapport import __version__
from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.synthetic.maker import MakeCorpusConfig, Plan, finish_corpus, make_chunk, plan_corpus
from rapport.models.backends.tts import espeak


def settings(folder: Path, **changes: object) -> MakeCorpusConfig:
    return MakeCorpusConfig.model_validate({"out": str(folder), "speakers": 2, "utterances": 8, **changes})


def make(plan: Plan, size: int = 4) -> dict:
    chunks = [
        make_chunk(
            {"first": first, "last": min(first + size, len(plan.items))},
            plan.folder,
            plan.config.layout,
            plan.request,
            plan.config.variation,
            plan.open_voice,
        )
        for first in reversed(range(0, len(plan.items), size))
    ]
    return finish_corpus(plan, chunks)


def test_chunks_of_any_size_make_the_same_corpus(tmp_path: Path) -> None:
    first, second = (make(plan_corpus(settings(tmp_path / str(size)), espeak.load), size) for size in (3, 16))
    assert first["digest"] == second["digest"]
    assert first["files"] == 16
    assert first["hours"] > 0
    assert make(plan_corpus(settings(tmp_path / "other", seed=1), espeak.load))["digest"] != first["digest"]


def test_what_is_there_stays_and_what_is_missing_is_made(tmp_path: Path) -> None:
    whole = make(plan_corpus(settings(tmp_path), espeak.load))
    kept, lost = sorted(tmp_path.rglob("*.wav"))[:2]
    lost.unlink()
    before = kept.stat().st_mtime_ns
    plan = plan_corpus(settings(tmp_path), espeak.load)
    assert plan.missing == 1
    assert make(plan)["digest"] == whole["digest"]
    assert lost.is_file()
    assert kept.stat().st_mtime_ns == before


def test_the_manifest_tells_where_it_came_from(tmp_path: Path) -> None:
    make(plan_corpus(settings(tmp_path, seed=7), espeak.load))
    manifest = storage.read_manifest(tmp_path)
    assert manifest["generator"] == {"name": "rapport", "version": __version__}
    assert manifest["recipe"]["voice"] == {"engine": "espeak-ng", "version": espeak.load().provenance["version"]}
    assert manifest["recipe"]["seed"] == 7
    assert "layout: ravdess" in manifest["config"]
    assert "machine" in manifest["licence"]


def test_a_folder_of_other_settings_is_refused_with_the_difference(tmp_path: Path) -> None:
    plan_corpus(settings(tmp_path), espeak.load)
    with pytest.raises(RapportError, match=r"made otherwise \(seed 0 there, 5 now\): choose another --out"):
        plan_corpus(settings(tmp_path, seed=5), espeak.load)


def test_a_folder_of_real_recordings_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "Actor_01").mkdir()
    (tmp_path / "Actor_01" / "03-01-01-01-01-01-01.wav").write_bytes(b"real")
    with pytest.raises(RapportError, match="did not make, such as"):
        plan_corpus(settings(tmp_path), espeak.load)
    assert len(list(tmp_path.rglob("*"))) == 2


def test_an_unknown_layout_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="did you mean 'ravdess'"):
        plan_corpus(settings(tmp_path, layout="ravdes"), espeak.load)
