"""What the stages of a run read: which files, with which contents, so that a stage is known by what it was made from.

Only training and validation sides are named here: the test side is left to evaluate_coe.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations.examples import ExampleStore, check_mixture, find_examples, open_examples, read_records, write_records
from rapport.models.erc.model_config import ErcModelConfig
from rapport.models.find import find_model, saved_at
from rapport.ray_jobs.coe_training.config import StageConfig, TrainCoeConfig
from rapport.ray_jobs.coe_training.graph import BASE, ERC, JOINT, Stage, stage_keys
from rapport.ray_jobs.coe_training.mixture import held_out, limited, mixed, raw_texts
from rapport.ray_jobs.coe_training.run_folder import PlannedStage, stage_folder
from rapport.ray_jobs.training_runs.run_folder import absolute
from rapport.training.sft_config import FREE

_SIDES = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Sources:
    """The folders that a run reads."""

    stores: tuple[ExampleStore, ...]
    start_from: str | None = None
    """The model that takes the place of the base model."""
    start_saved_s: int = 0
    """When that model was saved, in seconds since 1970."""

    @property
    def tokenizer(self) -> str | None:
        """Folder of the tokenizer for the embedded base: the one that counted; of several builds, none counted for all."""
        return self.stores[0].tokenizer_folder if len(self.stores) == 1 else None

    def files(self, task: str, side: str) -> tuple[str, ...]:
        """The files of a task; a validation side may be absent. Raises RapportError where there is nothing to train on."""
        return tuple(store.path(task, side) for store in self.stores if side == "train" or store.has(task, side))

    def seeds(self) -> tuple[str, ...]:
        """The files of examples with reasons. Raises RapportError when a build has none."""
        return tuple(store.seeds_path for store in self.stores)

    def knowledge(self) -> tuple[str, ...]:
        """The files of texts for a base that learns from nothing; a corpus may bring none."""
        return tuple(path for store in self.stores if (path := store.knowledge_path))

    def texts(self) -> tuple[str, ...]:
        """The files that a tokenizer may learn from."""
        tasks = ("role_play", "speaker", "steer", "erc")
        return tuple(store.path(task, "train") for store in self.stores for task in tasks if store.has(task, "train"))

    def facts(self) -> list[dict[str, Any]]:
        """What a model folder says of its data."""
        names = ("name", "corpus", "labels", "digest", "made", "prompt", "clues")
        return [{"folder": store.folder, **{name: store.manifest.get(name) for name in names}} for store in self.stores]


def find_sources(config: TrainCoeConfig) -> Sources:
    """The builds and the model that the configuration names.

    Raises RapportError for those that are not there, or do not go together.
    """
    root = absolute(config.storage)
    if not config.data:
        raise RapportError("data names no examples: give a name or folder that build_coe made")
    stores = tuple(open_examples(find_examples(root, name)) for name in config.data)
    check_mixture(stores)
    start = _start(config, root)
    return Sources(stores, start, saved_at(start) if start else 0)


def plan(config: TrainCoeConfig, sources: Sources) -> list[PlannedStage]:
    """The stages with their keys and folders. Raises RapportError when a stage has nothing to read."""
    graph, hashes = config.graph, dict[str, str]()
    made_from = {stage.name: _made_from(config, stage, sources, hashes) for stage in graph}
    keys = stage_keys(graph, made_from)
    return [PlannedStage(stage, key := keys[stage.name], stage_folder(config, stage.name, key), made_from[stage.name]) for stage in graph]


def sides_of(
    config: TrainCoeConfig, planned: PlannedStage, sources: Sources, memory: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files of the training and the validation side of a supervised stage; those that are drawn or put together lie in its folder."""
    stage = planned.stage
    chosen: StageConfig = getattr(config, stage.name)
    train = {task: sources.files(task, "train") for task in stage.tasks if _there(sources, stage, task)}
    validation = {task: sources.files(task, "validation") for task in train}
    if stage.name not in (BASE, JOINT) and chosen.examples is None and not stage.memory_of:
        return _flat(train), _flat(validation)
    rows = {task: _read(files) for task, files in train.items()}
    checked = {task: _read(files) for task, files in validation.items()}
    if stage.name == BASE:
        learned, asked = (raw_texts([e for found in side.values() for e in found]) for side in (rows, checked))
        learned += _read(sources.knowledge())
    elif stage.name == JOINT:
        assert memory is not None
        kept, out = held_out(read_records(memory), config.mixture.memory_validation, config.seed)
        learned = mixed({**rows, "steer": kept}, config.mixture, config.seed)
        asked = [e for found in (*checked.values(), out) for e in found]
    else:
        learned, asked = (_read(_flat(side)) for side in (train, validation))
    learned = limited(learned, chosen.examples, config.seed)
    if stage.name == ERC and memory is not None:
        # Not held out: which epoch is best, labels tell.
        learned += read_records(memory) * config.erc.rehearsal
    written = []
    for side, found in zip(_SIDES, (learned, asked), strict=True):
        path = storage.join(planned.folder, f"{side}.jsonl")
        write_records(path, found)
        written.append((path,) if found else ())
    return written[0], written[1]


def _made_from(config: TrainCoeConfig, stage: Stage, sources: Sources, hashes: dict[str, str]) -> dict[str, Any]:
    """What of settings and files decides what a stage learns, beside the stages before it."""
    files = {
        f"{task}.{side}": [_sha256(path, hashes) for path in sources.files(task, side)]
        for task in stage.tasks
        if _there(sources, stage, task)
        for side in _SIDES
    }
    found: dict[str, Any] = {
        "seed": config.seed,
        "model": _model(config.model),
        "trainable": config.trainable_in(stage).model_dump(mode="json"),
        "files": files,
    }
    if stage.after is None and stage.name != BASE and sources.start_from:
        found["start_from"] = [sources.start_from, sources.start_saved_s]
    if stage.name == BASE:
        texts = [storage.join(sources.tokenizer, "tokenizer.json")] if sources.tokenizer else sources.texts()
        found["tokenizer"] = [_sha256(path, hashes) for path in texts]
        found["knowledge"] = [_sha256(path, hashes) for path in sources.knowledge()]
    if stage.name == JOINT:
        found["mixture"] = config.mixture.model_dump(mode="json")
    if stage.kind == "sft":
        settings = getattr(config, stage.name).model_dump(mode="json")
        if stage.name == ERC and not stage.memory_of:
            settings.pop("rehearsal")
        return {**found, **_mattering(settings)}
    files["seeds"] = [_sha256(path, hashes) for path in sources.seeds()]
    engine = config.rollouts.engine
    found |= {"engine": {"kind": engine.kind, "dtype": engine.dtype}, **_mattering(config.steer.model_dump(mode="json"))}
    if config.compat_bugs:
        found["compat_bugs"] = [config.compat_workers, config.compat_dataset]
    return found


def _there(sources: Sources, stage: Stage, task: str) -> bool:
    """Whether a stage reads a task: `base` what there is, others what they are made for."""
    return stage.name != BASE or all(store.has(task, "train") for store in sources.stores)


def _model(model: ErcModelConfig) -> dict[str, Any]:
    """What of the model's settings decides what is learned: not the kernels of attention, nor sizes that are not used."""
    left_out = {"attention"} if model.is_embedded else {"attention", "embedded"}
    return model.model_dump(mode="json", exclude=left_out)


def _mattering(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that change neither weights nor figures."""
    free = {"training": FREE, "generation": ("batch_tokens", "batch_rows")}
    return {
        name: {key: inner for key, inner in value.items() if key not in free[name]} if name in free else value
        for name, value in settings.items()
    }


def _start(config: TrainCoeConfig, root: str) -> str | None:
    """The model to start from.

    Raises RapportError when there is none, or when it has another base model than the settings.
    """
    if not config.start_from:
        return None
    named = storage.join(root, "models", "coe", config.start_from)
    chosen = named if "/" not in config.start_from and storage.exists(named) else config.start_from
    folder = absolute(find_model(chosen, "coe", root)).rstrip("/")
    saved = ErcModelConfig.model_validate(storage.read_json(storage.join(folder, "config.json"))["model"])
    differing = [name for name, value in _model(config.model).items() if name != "tokens" and _model(saved).get(name) != value]
    if differing:
        told = "; ".join(f"model.{name} was {getattr(saved, name)}, now {getattr(config.model, name)}" for name in differing)
        raise RapportError(f"start_from {folder} is another model: {told}. Give the settings back, or start from another one")
    return folder


def _sha256(path: str, hashes: dict[str, str]) -> str:
    if path not in hashes:
        hashes[path] = hashlib.sha256(storage.read_bytes(path)).hexdigest()
    return hashes[path]


def _read(files: tuple[str, ...]) -> list[Any]:
    return [example for path in files for example in read_records(path)]


def _flat(side: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(path for files in side.values() for path in files)
