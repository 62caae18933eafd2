"""What a run is planned to read: which changes make other stages, and which files are read at all."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from rapport.core import storage
from rapport.core.config import ConfigError
from rapport.core.errors import RapportError
from rapport.datasets.conversations.examples import read_records, write_records
from rapport.ray_jobs.coe_training.config import resolved
from rapport.ray_jobs.coe_training.run_folder import check_same_run, write_graph
from rapport.ray_jobs.coe_training.sources import find_sources, plan, sides_of
from rapport.ray_jobs.train_coe import for_search
from rapport.ray_jobs.training_runs.run_folder import RESULT
from tests.ray_jobs.coe_training.toy import TRAINING, build_toy, settings

STEER = {"training": {**TRAINING, "selection": "last"}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples whose test side was never built, for all that a training can tell."""
    root = tmp_path_factory.mktemp("storage")
    store = build_toy(root)
    for task in ("steer", "erc"):
        storage.remove(store.path(task, "test"))
    return root


def planned(root: Path, **changes: Any) -> dict[str, str]:
    """Stage to folder."""
    config = resolved(settings(root, "first", **{"strategy": "full_curriculum", **changes}))
    return {each.stage.name: each.folder for each in plan(config, find_sources(config))}


def changed(root: Path, **changes: Any) -> list[str]:
    """Stages that are others with these settings."""
    before, after = planned(root), planned(root, **changes)
    return [name for name in before if before[name] != after[name]]


def test_settings_that_change_neither_weights_nor_figures_make_no_other_stage(root):
    assert changed(root, workers={"count": 3}, tracking={"tensorboard": True}, rollouts={"actors": 3}) == []
    assert changed(root, erc={"training": {**TRAINING, "strategy": "fsdp", "save_every_steps": 7}, "examples": 12}) == []
    assert changed(root, steer={**settings(root, "x").steer.model_dump(), "generation": {"batch_rows": 3}}) == []


def test_settings_that_do_make_another_stage_and_others_after_it(root):
    assert changed(root, seed=1) == ["base", "role_play", "speaker", "steer", "erc"]
    assert changed(root, trainable={"lora": {"rank": 8, "dropout": 0.0}}) == ["role_play", "speaker", "steer", "erc"]
    assert changed(root, speaker={"training": TRAINING, "examples": 13}) == ["speaker", "steer", "erc"]
    assert changed(root, compat_bugs=True) == ["steer", "erc"]
    assert changed(root, erc={"training": {**TRAINING, "epochs": 3}, "examples": 12}) == ["erc"]


def test_other_examples_make_other_stages_from_where_they_are_read(root, tmp_path):
    shutil.copytree(root / "features", tmp_path / "features")
    (file,) = tmp_path.glob("features/coe/meld/*/examples/speaker/train.jsonl")
    write_records(str(file), read_records(str(file))[1:])
    before, after = planned(root), planned(tmp_path)
    same = [name for name in before if Path(before[name]).name == Path(after[name]).name]
    # The base stage reads the prompts of all tasks.
    assert same == []
    # Written once: when a model was saved is part of which model it is.
    start = str(make_start(tmp_path / "start"))
    alone = [planned(where, strategy="steer_only", start_from=start) for where in (root, tmp_path)]
    assert [Path(folder).name for folder in alone[0].values()] == [Path(folder).name for folder in alone[1].values()]


def test_a_mixture_is_written_down_whole_with_what_is_held_out(root):
    config = resolved(settings(root, "first", strategy="mixed"))
    sources = find_sources(config)
    joint = next(each for each in plan(config, sources) if each.stage.name == "joint")
    train, validation = sides_of(config, joint, sources, sources.seeds()[0])
    learned, asked = ([e for path in side for e in read_records(path)] for side in (train, validation))
    assert {e.task for e in learned} == {e.task for e in asked} == {"role_play", "speaker", "steer"}
    assert [sum(e.task == task for e in learned) for task in ("role_play", "speaker")] == [6, 6]
    assert {e.example_id for e in learned}.isdisjoint(e.example_id for e in asked)


def test_the_last_stage_sees_each_harvested_answer_so_often_an_epoch(root, tmp_path):
    config = resolved(settings(root, "again", strategy="steer_only", erc={"training": TRAINING, "examples": 12, "rehearsal": 2}))
    sources = find_sources(config)
    *_, erc = plan(config, sources)
    memory = str(tmp_path / "memory.jsonl")
    harvest = read_records(sources.seeds()[0])
    write_records(memory, harvest)
    train, validation = sides_of(config, erc, sources, memory)
    learned = read_records(train[0])
    assert [e.task for e in learned].count("erc") == 12
    assert learned[12:] == harvest * 2
    assert {e.task for path in validation for e in read_records(path)} == {"erc"}
    assert changed(root, erc={"training": TRAINING, "examples": 12, "rehearsal": 2}) == ["erc"]
    # Without a harvest the setting means nothing.
    again = {"training": TRAINING, "examples": 12, "rehearsal": 2}
    assert planned(root, strategy="auxiliary_only", erc=again) == planned(root, strategy="auxiliary_only")


def test_texts_of_the_base_stage_hold_no_answer(root):
    config = resolved(settings(root, "first", base={"training": TRAINING}))
    sources = find_sources(config)
    train, validation = sides_of(config, plan(config, sources)[0], sources, None)
    for path in (*train, *validation):
        # A prompt below which something is known is only read.
        assert all("ANSWER:" not in e.input + e.target and (e.input == "" or "/knowledge/" in e.example_id) for e in read_records(path))


def test_the_base_stage_reads_what_is_known_and_is_another_without_it(root):
    config = resolved(settings(root, "first", base={"training": TRAINING}))
    sources = find_sources(config)
    (file,) = sources.knowledge()
    base = plan(config, sources)[0]
    (train,), _ = sides_of(config, base, sources, None)
    assert {e.target for e in read_records(file)} <= {e.target for e in read_records(train)}
    known = storage.read_bytes(file)
    storage.remove(file)
    assert plan(config, sources)[0].key != base.key
    storage.write_bytes(file, known)
    assert plan(config, sources)[0].key == base.key


def test_a_name_is_kept_for_the_settings_that_it_was_begun_with(root):
    config = resolved(settings(root, "kept"))
    stages = plan(config, find_sources(config))
    write_graph(config, stages)
    check_same_run(config, stages)
    other = resolved(settings(root, "kept", erc={"training": {**TRAINING, "epochs": 3}, "examples": 12}))
    with pytest.raises(ConfigError, match=r"erc\.training\.epochs: then 2, now 3"):
        check_same_run(other, plan(other, find_sources(other)))
    longer = resolved(settings(root, "kept", custom={"speaker": True}))
    with pytest.raises(ConfigError, match="stages: then base, erc, now base, speaker, erc"):
        check_same_run(longer, plan(longer, find_sources(longer)))


def make_start(folder: Path, **model: Any) -> Path:
    values = settings(folder, "x").model.model_dump(mode="json")
    storage.write_json(folder / "config.json", {"kind": "coe", "model": {**values, **model}})
    return folder


def test_a_model_of_another_base_is_not_started_from(root, tmp_path):
    assert list(planned(root, start_from=str(make_start(tmp_path / "same")))) == ["role_play", "speaker", "steer", "erc"]
    other = make_start(tmp_path / "other", base="mistralai/Mistral-7B-v0.1")
    with pytest.raises(RapportError, match=r"is another model: model\.base was mistralai/Mistral-7B-v0\.1, now embedded"):
        planned(root, start_from=str(other))


def test_one_corpus_is_not_learned_twice(root):
    with pytest.raises(RapportError, match="are both of meld"):
        planned(root, data=("meld", "meld"))


def test_trials_of_a_search_take_over_finished_stages(root, tmp_path):
    config = settings(root, "first")
    assert for_search(config).stages == ""
    base = planned(root, strategy="custom")["base"]
    storage.write_json(storage.join(base, RESULT), {})
    found = for_search(config)
    assert found.stages == str(root / "runs/train_coe/stages")
    trial = resolved(found.model_copy(update={"storage": str(tmp_path)}))
    assert plan(trial, find_sources(trial))[0].folder == base
    storage.remove(storage.join(base, RESULT))
