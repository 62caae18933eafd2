"""Where runs, their stages and their models lie, and whether a run is still the one that was begun under its name.

<storage>/runs/train_coe/stages/<stage>-<key>/    one stage, whichever runs it belongs to; its model in model/
<storage>/runs/train_coe/<name>/graph.json        the stages that a run is made of, with keys and what they were made from
<storage>/models/coe/<name>/                      the model of a run's last stage
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rapport.core import storage
from rapport.core.config import ConfigError
from rapport.ray_jobs.coe_training.config import TrainCoeConfig
from rapport.ray_jobs.coe_training.graph import Stage, differences
from rapport.ray_jobs.training_runs.run_folder import absolute

GRAPH, MODEL = "graph.json", "model"
_KEY_DIGITS = 12


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage with its place on disk."""

    stage: Stage
    key: str
    """sha256 of all that it is made from."""
    folder: str
    made_from: dict[str, Any]
    """Its own settings, seed and files (JSON)."""

    @property
    def model(self) -> str:
        """Where a supervised stage saves its model; self-training tells where its own lies."""
        return storage.join(self.folder, MODEL)


def stages_folder(config: TrainCoeConfig) -> str:
    """Where stages are kept, absolute."""
    return absolute(config.stages or storage.join(config.storage, "runs", "train_coe", "stages")).rstrip("/")


def stage_folder(config: TrainCoeConfig, name: str, key: str) -> str:
    """The folder of one stage."""
    return storage.join(stages_folder(config), f"{name}-{key[:_KEY_DIGITS]}")


def runs_folder(root: str, name: str) -> str:
    """`<storage>/runs/train_coe/<name>`, absolute."""
    return storage.join(absolute(root), "runs", "train_coe", name)


def model_folder(root: str, name: str) -> str:
    """`<storage>/models/coe/<name>`, absolute."""
    return storage.join(absolute(root), "models", "coe", name)


def write_graph(config: TrainCoeConfig, planned: Sequence[PlannedStage]) -> None:
    """Write down what a run is made of."""
    stages = [{**asdict(p.stage), "key": p.key, "folder": p.folder, "made_from": p.made_from} for p in planned]
    told = {"name": config.name, "strategy": config.strategy, "stages": stages}
    storage.write_json(storage.join(runs_folder(config.storage, config.name), GRAPH), told)


def check_same_run(config: TrainCoeConfig, planned: Sequence[PlannedStage]) -> None:
    """Raises ConfigError that names what differs when a run of that name was begun with other settings or data."""
    path = storage.join(runs_folder(config.storage, config.name), GRAPH)
    if not storage.exists(path):
        return
    before = {stage["name"]: stage for stage in storage.read_json(path)["stages"]}
    now = {p.stage.name: p for p in planned}
    lines = []
    if list(before) != list(now):
        lines.append(f"  stages: then {', '.join(before)}, now {', '.join(now)}")
    for name in (name for name in before if name in now):
        found = differences(before[name]["made_from"], now[name].made_from)
        lines += [f"  {name}.{key}: then {then!r}, now {value!r}" for key, then, value in found]
    if not lines and [stage["key"] for stage in before.values()] != [p.key for p in planned]:
        lines.append("  the code of its stages")
    if lines:
        told = "\n".join(lines)
        raise ConfigError(
            f"the run {config.name!r} was begun with other settings or data:\n{told}\nGive them back, or train under another --name, which "
            "takes over the stages that stay the same, or use --fresh"
        )
