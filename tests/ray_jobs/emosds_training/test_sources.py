"""What a stage reads, when it was begun and now; and what the model before it has learned of that."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from rapport.core import storage
from rapport.core.config import ConfigError
from rapport.core.errors import RapportError
from rapport.ray_jobs.build_emosds import run as build
from rapport.ray_jobs.emosds_data.config import BuildEmosdsConfig
from rapport.ray_jobs.emosds_training.config import resolved, stage_run
from rapport.ray_jobs.emosds_training.run_folder import stage_folder
from rapport.ray_jobs.emosds_training.sources import Sources, check_begun, check_lineage, find_sources, fitted_model, overlaps
from rapport.ray_jobs.train_emosds import train_stage
from rapport.ray_jobs.training_runs import run_folder
from tests.ray_jobs.emosds_training.toy import build_toy, settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("storage"))


def build_other(root: Path, name: str) -> str:
    """Another build, in which other speakers are held out."""
    sides = {"split": {"method": "kfold", "fold": 1}}
    return str(build(BuildEmosdsConfig.model_validate({"storage": str(root), "name": name, "dialogues": "", "sides": sides}))["folder"])


def finish(root: Path, name: str, **changes: Any) -> None:
    """A run of stage 1 as if it had been trained."""
    config = resolved(settings(root, name, **changes))
    sources = find_sources(config, 1)
    folder = stage_folder(config.storage, name, 1)
    run_folder.begin(folder, stage_run(config, 1, fitted_model(config.model, sources)), asdict(sources))
    storage.write_json(storage.join(folder, run_folder.RESULT), {"name": name})


def asked_again(root: Path, name: str, **changes: Any) -> dict:
    return train_stage(resolved(settings(root, name, **changes)), 1, callbacks=(), quiet=True)


def test_a_finished_stage_gives_its_result_as_long_as_it_reads_the_same(root):
    finish(root, "same")
    assert asked_again(root, "same") == {"name": "same"}
    found = find_sources(settings(root, "same"), 1)
    assert asked_again(root, "same", data=f"{found.examples}/") == {"name": "same"}
    assert asked_again(root, "same", units=[f"{folder}/" for folder in reversed(found.units)]) == {"name": "same"}
    build_toy(root)
    assert asked_again(root, "same") == {"name": "same"}


def test_a_stage_that_was_begun_refuses_other_examples_and_names_both(root):
    finish(root, "rebuilt")
    begun = find_sources(settings(root, "rebuilt"), 1).examples
    other = build_other(root, "other")
    with pytest.raises(RapportError) as refused:
        asked_again(root, "rebuilt", data="other")
    for part in (begun, other, f"--data {begun}", "--fresh", "--name"):
        assert part in str(refused.value)


def test_a_stage_that_was_begun_refuses_other_units_and_names_both(root, tmp_path):
    finish(root, "heard")
    begun = find_sources(settings(root, "heard"), 1)
    others = [str(shutil.copytree(folder, tmp_path / folder.split("/")[-2])) for folder in begun.units]
    with pytest.raises(RapportError) as refused:
        asked_again(root, "heard", units=others)
    for part in (*begun.units, *others, f"--units {','.join(begun.units)}", "--fresh"):
        assert part in str(refused.value)


def test_inputs_that_changed_are_told_as_a_setting(root):
    finish(root, "reads", model={**settings(root, "reads").model.model_dump(), "inputs": "text"})
    with pytest.raises(ConfigError, match=r"model\.inputs: then 'text', now 'units\+residuals'"):
        asked_again(root, "reads")


def test_a_stage_that_was_begun_refuses_another_model_before_it():
    begun = Sources("/examples", ("/units",), "/models/first-stage-1", 1)
    check_begun(begun, begun, 2)
    with pytest.raises(RapportError, match=r"stage 2 was begun from /models/first-stage-1, which was trained anew since"):
        check_begun(begun, replace(begun, predecessor_saved_s=2), 2)


def test_a_later_stage_on_another_build_warns_of_what_that_one_holds_out(root):
    config = settings(root, "first")
    first = find_sources(config, 1)
    learned = check_lineage(fitted_model(config.model, first), first, 1)
    assert learned.data == {first.examples: 1}
    assert overlaps(first, learned, 1) == []
    second = replace(first, examples=build_other(root, "next"), predecessor="/models/first-stage-1")
    (warning,) = overlaps(second, learned, 1)
    assert warning.startswith("/models/first-stage-1 was trained on 2 speakers,")
    assert first.examples in warning
    assert second.examples in warning
    assert overlaps(second, learned.model_copy(update={"data": {}}), 1) == []
