"""Made conversations lie in the files of a published corpus, and its reader gives back what was made."""

from pathlib import Path

import pytest

from rapport.core import plugins, storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations.clues import gather_clues
from rapport.datasets.conversations.corpora import emorynlp
from rapport.datasets.conversations.seeds import FILE, read_seeds
from rapport.datasets.synthetic.drama_files import BOUNDS, LAYOUTS, write_dramas
from rapport.datasets.synthetic.dramas import DramaConfig, make_dramas


def small(corpus: str) -> DramaConfig:
    return DramaConfig.model_validate({"corpus": corpus, "train": 60, "validation": 5, "test": 5})


@pytest.mark.parametrize("corpus", plugins.available(LAYOUTS))
def test_the_readers_give_back_conversations_clues_and_seeds(corpus: str, tmp_path: Path) -> None:
    config = small(corpus)
    manifest = write_dramas(config, 3, str(tmp_path))
    made = make_dramas(config, 3)
    found = plugins.load("datasets.conversations.corpora", corpus).read(str(tmp_path))
    assert found.conversations == made.conversations
    assert found.labels == made.labels
    assert not found.bad
    assert not found.deviations, "a made corpus is not measured by the published one"
    clues = gather_clues(found, root=str(tmp_path))
    speakers = {line.speaker for c in made.conversations for line in c.lines}
    assert clues.personas == {name: text for name, text in made.clues.personas.items() if name in speakers}
    assert clues.scenes == made.clues.scenes
    assert read_seeds(str(tmp_path / FILE), found) == made.seeds
    assert manifest["counts"] == found.counts()
    assert storage.read_json(tmp_path / BOUNDS)["best_with_clues"] > 0.9


def test_full_scenes_of_made_conversations_are_the_same_lines(tmp_path: Path) -> None:
    write_dramas(small("emorynlp"), 3, str(tmp_path))
    plain, full, original = (
        emorynlp.read(str(tmp_path), emorynlp.Options.model_validate(options))
        for options in ({}, {"history": "full_scene"}, {"source": "original"})
    )
    assert plain.conversations == full.conversations == original.conversations


def test_a_second_run_changes_nothing_and_another_recipe_is_refused(tmp_path: Path) -> None:
    first = write_dramas(small("meld"), 3, str(tmp_path))
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert write_dramas(small("meld"), 3, str(tmp_path)) == first
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before
    with pytest.raises(RapportError, match="seed 3 there, 4 now"):
        write_dramas(small("meld"), 4, str(tmp_path))


def test_a_killed_run_is_finished_and_a_strangers_file_is_kept(tmp_path: Path) -> None:
    write_dramas(small("meld"), 3, str(tmp_path / "whole"))
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "train_sent_emo.csv").write_text("half")
    write_dramas(small("meld"), 3, str(tmp_path / "killed"))
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "killed" / file.name).read_bytes() == file.read_bytes()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(RapportError, match=r"notes\.txt"):
        write_dramas(small("meld"), 3, str(tmp_path / "other"))
