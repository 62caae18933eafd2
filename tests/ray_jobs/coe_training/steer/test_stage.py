"""Rounds of self-taught reasoning with a pupil in place of the model."""

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.erc.pretrained import from_pretrained, save_pretrained
from rapport.ray_jobs.coe_rollouts.config import RolloutConfig
from rapport.ray_jobs.coe_training.steer.artefacts import told_full_disk
from rapport.ray_jobs.coe_training.steer.config import SteerConfig
from rapport.ray_jobs.coe_training.steer.stage import choose_round, run_steer, stop_reason
from rapport.ray_jobs.training_runs.config import WorkersConfig
from tests.toy_steer import ToyStage, taught_model

ROOT = Path(__file__).parents[4]


def run(toy: ToyStage) -> dict[str, Any]:
    return run_steer(toy.setup, quiet=True, train=toy.pupil.train, ask=toy.pupil.ask)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ToyStage, dict[str, Any]]:
    """A stage that was never interrupted, and its result."""
    toy = ToyStage(tmp_path_factory.mktemp("whole"))
    return toy, run(toy)


def test_what_a_round_accepts_is_trained_on_in_the_next(whole: tuple[ToyStage, dict[str, Any]]) -> None:
    """Acceptance test (b) of the specification."""
    toy, result = whole
    assert [record["solved"] for record in result["rounds"]] == [4, 4, 4, 0]
    for number in range(3):
        accepted = {row["example_id"] for row in toy.rows("rollouts", number) if row["accepted"]}
        assert len(accepted) == 4
        assert accepted.isdisjoint(toy.pupil.trained_on(number))
        assert accepted < set(toy.pupil.trained_on(number + 1))
        assert {line["example_id"] for line in toy.rows("memory", number + 1)} == set(toy.pupil.trained_on(number + 1))
    assert result["memory"] == str(toy.folder / "memory/round_03.jsonl")


def test_every_round_asks_what_is_unsolved_and_goes_on_from_the_model_before(whole: tuple[ToyStage, dict[str, Any]]) -> None:
    toy, _ = whole
    pool = [e.example_id for e in toy.pool]
    asked = [[row["example_id"] for row in toy.rows("rollouts", number)] for number in range(3)]
    assert [sorted(ids) for ids in asked] == [sorted(pool), sorted(pool[4:]), sorted(pool[8:])]
    models = [str(toy.folder / f"models/round_{number:02d}") for number in range(4)]
    assert [task.start_from for task in toy.pupil.tasks] == ["before", *models[:3]]
    assert [task.model_folder for task in toy.pupil.tasks] == models


def test_a_solved_pool_is_an_empty_file(whole: tuple[ToyStage, dict[str, Any]]) -> None:
    """Acceptance test (i) of the specification; what was added last is trained on once more."""
    toy, result = whole
    assert (toy.folder / "pool/round_03.jsonl").read_bytes() == b""
    assert result["stopped"] == "pool_solved"
    assert [record["last"] for record in result["rounds"]] == [False, False, False, True]
    assert len(toy.pupil.trained_on(3)) == 15
    assert result["model"] == str(toy.folder / "models/round_03")


def test_a_smaller_pool_is_drawn_by_the_seed(tmp_path: Path) -> None:
    toys = [ToyStage(tmp_path / name, pool_examples=5, rounds=1) for name in ("one", "two")]
    sizes = [[record["asked"] for record in run(toy)["rounds"]] for toy in toys]
    assert sizes[0][0] == 5
    first, second = ([row["example_id"] for row in toy.rows("pool", 0)] for toy in toys)
    assert first == second
    assert set(first) < {e.example_id for e in toys[0].pool}


def test_no_line_of_another_side_gets_into_the_memory(whole: tuple[ToyStage, dict[str, Any]]) -> None:
    """Acceptance test (h) of the specification."""
    toy, result = whole
    assert {line["example_id"].split("/")[1] for number in range(4) for line in toy.rows("memory", number)} == {"train"}
    assert all(task.validation == () for task in toy.pupil.tasks)
    assert [len(toy.rows("validation", number)) for number in range(4)] == [6] * 4
    assert result["rounds"][0]["validation"]["weighted_f1"] == 0
    assert result["rounds"][1]["validation"]["weighted_f1"] == 1


def test_a_finished_stage_is_only_read(whole: tuple[ToyStage, dict[str, Any]]) -> None:
    toy, result = whole
    again = ToyStage(toy.folder.parent)
    assert run(again) == result
    assert (again.pupil.tasks, again.pupil.prompts) == ([], [])


@pytest.mark.parametrize("spare", [0, 4, 11, 13, 20, 24])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[ToyStage, dict[str, Any]], spare: int
) -> None:
    toy, write, left = ToyStage(tmp_path), storage.write_bytes, [spare]

    def full(path: Any, data: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    with monkeypatch.context() as disk:
        disk.setattr(storage, "write_bytes", full)
        with pytest.raises(RapportError, match=r"no space is left for .*stage"):
            run(toy)
    result = run(toy)
    assert toy.data() == whole[0].data()
    assert [record["seal"] for record in result["rounds"]] == [storage.read_json(f)["seal"] for f in sorted(toy.folder.glob("rounds/*"))]
    assert not list(toy.folder.rglob("*.tmp"))


def test_a_full_disk_of_a_worker_is_told_and_other_errors_rise() -> None:
    full, other = RuntimeError("a worker failed"), RuntimeError("a worker failed")
    full.__cause__, other.__cause__ = OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EACCES, "Permission denied")
    with pytest.raises(RapportError, match="no space is left"), told_full_disk("there"):
        raise full
    with pytest.raises(RuntimeError, match="a worker failed"), told_full_disk("there"):
        raise other


def test_a_killed_round_is_done_again_to_the_same_end(tmp_path: Path, whole: tuple[ToyStage, dict[str, Any]]) -> None:
    """Acceptance test (j) of the specification: the process is killed after round 1 has written its memory and before it is sealed."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from rapport.ray_jobs.coe_training.steer import rounds\n"
        "from rapport.ray_jobs.coe_training.steer.stage import run_steer\n"
        "from tests.toy_steer import ToyStage\n"
        "toy, seal = ToyStage(Path(sys.argv[1])), rounds.seal_round\n"
        "die = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "rounds.seal_round = lambda files, number, *more: seal(files, number, *more) if number < 1 else die()\n"
        "run_steer(toy.setup, quiet=True, train=toy.pupil.train, ask=toy.pupil.ask)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert killed.returncode == -signal.SIGKILL
    toy = ToyStage(tmp_path)
    assert (toy.folder / "memory/round_02.jsonl").exists()
    assert [f.name for f in (toy.folder / "rounds").iterdir()] == ["round_00.json"]
    sealed = (toy.folder / "rounds/round_00.json").read_bytes()
    run(toy)
    assert [task.label for task in toy.pupil.tasks] == [f"toy steer round {number}" for number in (1, 2, 3)]
    assert (toy.folder / "rounds/round_00.json").read_bytes() == sealed
    assert toy.data() == whole[0].data()


@pytest.mark.parametrize(
    "name", ["memory/round_01.jsonl", "models/round_00/config.json", "rollouts/round_01.jsonl", "rounds/round_01.json"]
)
def test_a_changed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    toy = ToyStage(tmp_path, rounds=2)
    run(toy)
    file = toy.folder / name
    file.write_text(file.read_text().replace("4", "5", 1))
    with pytest.raises(RapportError, match=rf"{name} is not what round \d wrote"):
        run(toy)
    file.unlink()
    if "rounds" not in name:
        with pytest.raises(RapportError, match=rf"{name} is not what round \d wrote"):
            run(toy)


def test_other_settings_or_data_are_another_stage(tmp_path: Path) -> None:
    run(ToyStage(tmp_path, rounds=1))
    with pytest.raises(RapportError, match=r"steer\.min_growth: then 0\.005, now 0\.1"):
        run(ToyStage(tmp_path, rounds=1, min_growth=0.1))
    run(ToyStage(tmp_path, rounds=1, generation={"batch_rows": 7}))
    toy = ToyStage(tmp_path, rounds=1)
    (tmp_path / "pool.jsonl").write_text((tmp_path / "pool.jsonl").read_text().replace("cat", "dog"))
    with pytest.raises(RapportError, match="pool: then"):
        run(toy)


def test_the_published_schedule_asks_nothing_after_the_first_training(tmp_path: Path) -> None:
    toy = ToyStage(tmp_path, first_rollout=1, rounds=2, final_training=False)
    result = run(toy)
    assert [record["asks"] for record in result["rounds"]] == [False, True]
    assert not (toy.folder / "rollouts/round_00.jsonl").exists()
    assert (toy.folder / "memory/round_01.jsonl").read_bytes() == (toy.folder / "memory/round_00.jsonl").read_bytes()
    assert (result["stopped"], result["rounds"][1]["solved"]) == ("rounds", 8)


def test_a_hinted_answer_is_learned_without_the_hint(tmp_path: Path) -> None:
    toy = ToyStage(tmp_path, rounds=1, answers={"hint": True})
    result = run(toy)
    hinted = [prompt for prompt in toy.pupil.prompts if "HINT" in prompt[1]]
    assert sorted(name for name, _ in hinted) == sorted(e.example_id for e in toy.pool[4:])
    own = {e.example_id: e.input for e in (*toy.seeds, *toy.pool)}
    memory = toy.rows("memory", 1)
    assert len(memory) == 15
    assert all(line["input"] == own[line["example_id"]] for line in memory)
    assert sum(line["meta"].get("hinted", False) for line in memory) == result["rounds"][0]["hinted"] == 8
    assert [row["hinted"] for row in toy.rows("rollouts", 0)].count(True) == 8


def test_several_samples_are_drawn_of_the_pool_and_one_of_validation(tmp_path: Path) -> None:
    toy = ToyStage(tmp_path, rounds=1, generation={"samples": 2, "temperature": 0.8}, final_training=False)
    result = run(toy)
    assert (result["rounds"][0]["solved"], result["rounds"][0]["accepted"], result["rounds"][0]["answers"]) == (4, 8, 24)
    assert len(toy.rows("validation", 0)) == 6


@pytest.mark.parametrize(("restart", "wanted"), [("base", ["base", "base"]), ("stage_init", ["before", "before"])])
def test_trainings_can_begin_anew(tmp_path: Path, restart: str, wanted: list[str]) -> None:
    toy = ToyStage(tmp_path, rounds=2, restart_from=restart, repeat_seeds=3, final_training=False)
    run(toy)
    assert [task.start_from for task in toy.pupil.tasks] == wanted
    assert [toy.pupil.trained_on(1).count(e.example_id) for e in toy.seeds] == [3, 3, 3]
    assert len({task.settings.seed for task in toy.pupil.tasks}) == 2


def test_a_round_that_adds_little_is_the_last(tmp_path: Path) -> None:
    toy = ToyStage(tmp_path, rank=lambda e: 1 if e.example_id.endswith(("d3/0/steer", "d4/0/steer")) else 9, rounds=8)
    result = run(toy)
    assert (result["stopped"], [record["solved"] for record in result["rounds"]]) == ("growth", [2, 0])


def test_answers_that_could_not_be_learned_are_told_before_they_are_written(tmp_path: Path) -> None:
    toy = ToyStage(tmp_path)
    tokens = toy.setup.settings.model.tokens.model_copy(update={"max_tokens": 200})
    model = toy.setup.settings.model.model_copy(update={"tokens": tokens})
    toy.setup = replace(toy.setup, settings=toy.setup.settings.model_copy(update={"model": model}))
    with pytest.raises(RapportError, match=r"answers may have 256, and model\.tokens\.max_tokens is 200"):
        run(toy)
    assert not toy.pupil.prompts


@pytest.mark.parametrize(
    ("newest", "published", "wanted"),
    [
        ({"pool": 0, "asks": True, "solved": 4}, False, "pool_solved"),
        ({"pool": 0, "asks": True, "solved": 4}, True, None),
        ({"pool": 50, "asks": True, "solved": 4}, False, "growth"),
        ({"pool": 50, "asks": True, "solved": 4}, True, None),
        ({"pool": 50, "asks": True, "solved": 5}, False, None),
        ({"pool": 50, "asks": False, "solved": 0}, False, None),
    ],
)
def test_rounds_end_for_a_reason(newest: dict[str, Any], published: bool, wanted: str | None) -> None:
    config = SteerConfig(rounds=3, min_growth=0.05)
    rounds = [{**newest, "last": False}]
    assert stop_reason(rounds, config, 100, published=published) == wanted
    assert stop_reason([*rounds * 3], config, 100, published=published) == (wanted or "rounds")
    assert stop_reason([], config, 100) is None


def test_the_best_round_goes_on() -> None:
    rounds = [{"validation": {"weighted_f1": value}} for value in (0.2, 0.5, 0.5, 0.4)]
    assert choose_round(rounds, SteerConfig()) == 2
    assert choose_round(rounds, SteerConfig(selection="last")) == 3
    assert choose_round([{"validation": None}] * 2, SteerConfig()) == 1


@pytest.mark.slow
def test_a_model_learns_from_its_own_answers(ray_cluster: dict[str, float], tmp_path: Path) -> None:
    """With Ray Train and Ray Data: what the model wrote in round 0 is what it is trained on last, and no part of the work is left."""
    toy = ToyStage(tmp_path, rounds=1, validation_examples=2, generation={"max_new_tokens": 64}, answers={"duplicates": "example"})
    save_pretrained(taught_model(), tmp_path / "taught")
    optim = {"optim": {"lr": 1e-5}, "precision": "fp32"}
    config = SteerConfig.model_validate(toy.setup.config.model_dump() | {"training": {"epochs": 1, "selection": "last", **optim}})
    rollouts = RolloutConfig(actors=2, block_rows=5, cpus_per_actor=0.5)
    setup = replace(toy.setup, config=config, start_from=str(tmp_path / "taught"), rollouts=rollouts, workers=WorkersConfig(cpus=1))
    result = run_steer(setup, quiet=True)
    first, last = result["rounds"]
    assert (first["asks"], last["last"]) == (True, True)
    assert 0 < first["accepted"] == last["memory"] - 3
    assert last["training"]["sides"]["train"]["examples"] == last["memory"]
    assert from_pretrained(result["model"]).settings.is_embedded
    assert run_steer(setup, quiet=True) == result
    assert not list(toy.folder.glob("training/*/checkpoints")) + list(toy.folder.glob("parts/*"))
