import pytest

from rapport.core import storage
from rapport.core.config import ConfigError
from rapport.ray_jobs.ser_training.config import resolved
from rapport.ray_jobs.ser_training.run_folder import FREE
from rapport.ray_jobs.ser_training.run_folder import run_folder as folder_of
from rapport.ray_jobs.training_runs import run_folder
from tests.toy_ser import toy_settings

SOURCES = {"corpora": ["/corpora/ravdess/abc"], "test_corpora": [], "noise": None}


def checkpoint(folder: str, step: int, complete: bool = True) -> str:
    path = storage.join(folder, run_folder.CHECKPOINTS, run_folder.checkpoint_name(step))
    storage.write_bytes(storage.join(path, "state.safetensors"), b"tensors")
    if complete:
        storage.write_json(storage.join(path, "state.json"), {"step": step})
    return path


def test_a_run_is_new_until_its_first_checkpoint_and_finished_with_its_result(tmp_path):
    config = resolved(toy_settings(tmp_path))
    folder = folder_of(config)
    assert run_folder.state_of(folder) == "new"
    run_folder.begin(folder_of(config), config, SOURCES)
    checkpoint(folder, 3, complete=False)
    assert run_folder.state_of(folder) == "new"
    checkpoint(folder, 2)
    assert run_folder.state_of(folder) == "interrupted"
    assert run_folder.sources_of(folder) == SOURCES
    storage.write_json(storage.join(folder, run_folder.RESULT), {"name": "ser"})
    assert run_folder.state_of(folder) == "finished"


def test_the_newest_complete_checkpoint_is_found_and_the_rest_pruned(tmp_path):
    folder = folder_of(toy_settings(tmp_path))
    assert run_folder.newest_checkpoint(folder) is None
    run_folder.prune_checkpoints(folder)
    for step in (9, 100, 20):
        checkpoint(folder, step)
    checkpoint(folder, 101, complete=False)
    storage.write_bytes(storage.join(folder, "checkpoints", "checkpoint_manager_snapshot.json"), b'{"half')
    newest = run_folder.newest_checkpoint(folder)
    assert newest is not None
    assert newest.endswith("step-00000100")
    run_folder.prune_checkpoints(folder)
    assert run_folder.newest_checkpoint(folder) == newest
    assert len(list((tmp_path / "runs/train_ser/ser/checkpoints").iterdir())) == 1


def test_a_run_is_not_continued_with_other_settings(tmp_path):
    config = resolved(toy_settings(tmp_path))
    run_folder.begin(folder_of(config), config, SOURCES)
    run_folder.check_unchanged(folder_of(config), config, FREE)
    other = resolved(toy_settings(tmp_path, training={"epochs": 3, "batch_size": 16, "optim": {"lr": 0.02}, "ema_decay": 0.9}))
    with pytest.raises(ConfigError, match=r"(?s)training\.batch_size: then 8, now 16.*training\.optim\.lr.*--fresh"):
        run_folder.check_unchanged(folder_of(other), other, FREE)


def test_what_changes_no_figure_may_differ(tmp_path):
    config = resolved(toy_settings(tmp_path))
    run_folder.begin(folder_of(config), config, SOURCES)
    other = resolved(
        toy_settings(tmp_path, fresh=True, workers={"count": 2}, tracking={"tensorboard": False}, training={"save_every_steps": 5})
    )
    run_folder.check_unchanged(folder_of(other), other, FREE)


def test_an_earlier_run_is_moved_aside_and_not_deleted(tmp_path):
    folder = tmp_path / "run"
    assert run_folder.set_aside(str(folder)) is None
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("kept")
    aside = run_folder.set_aside(str(folder))
    assert aside is not None
    assert not folder.exists()
    assert storage.read_bytes(storage.join(aside, "inner", "file")) == b"kept"
