"""Pretraining data of an agent, from a task to a finished folder: pictures, speech, noise and units, each chunk made once.

    recorded = record_agent_data(root, task, config, services, seed=0)         # pictures and speech
    speech = (read_clip(clip.path) for clip in recorded.clips("train"))
    hearing = load_hearing(HearingConfig(), speech, RATE_HZ)                    # units that are still to be learnt
    data = prepare_agent_data(root, task, config, services, lambda: hearing, seed=0)

Kill it and run it again: what is finished stays finished, and the result has the same bytes. A change of noise draws no picture again, and
another encoder gets units of its own beside the others.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from rapport.core import storage
from rapport.core.config import dump_config
from rapport.core.errors import RapportError
from rapport.core.progress import progress
from rapport.datasets.agent_data.assemble import finish_recordings, finish_units
from rapport.datasets.agent_data.config import AgentDataConfig
from rapport.datasets.agent_data.layout import DataItem, plan_clips, plan_pictures
from rapport.datasets.agent_data.pictures import PICTURES, PictureMaker
from rapport.datasets.agent_data.speech import CLIPS, NoiseMaker, SpeechMaker
from rapport.datasets.agent_data.store import CLIPS_TABLE, AgentData
from rapport.datasets.agent_data.units import OUTCOMES, PlannedUnits, UnitEncoder, UnitMaker
from rapport.datasets.agent_data.work import FORMAT, Chunk, Maker, cut, outcomes, run_chunks, unfinished
from rapport.models.spolacq.services import load_service
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.runtime import start_ray
from rapport.simulator.requests import Service
from rapport.simulator.task import Task, load_task
from rapport.simulator.task_functions import TaskFunctions

OpenService = Callable[[str], Service[Any]]
"""Opens a service by its kind, `voice` or `pictures`, in the process that calls it."""
Tell = Callable[[str], None]


def open_services(config: ServicesConfig, task_folder: str | Path) -> OpenService:
    """The services of those settings, opened by each worker for itself."""
    return partial(_open, config=config, folder=str(task_folder))


def data_items(task: Task) -> list[DataItem]:
    """The items of a task, each with the voice of the first scene that offers it; the initial scene's where none does."""
    scenario = task.scenario
    start = scenario.scenes[scenario.initial_scene_id]
    voices: dict[int, str] = {}
    for scene in scenario.scenes.values():
        for item_id in scene.items:
            voices.setdefault(item_id, scene.voice)
    return [DataItem(item.id, item.name, item.prompt, voices.get(item.id, start.voice)) for item in scenario.items.values()]


def record_agent_data(
    root: str, task: Task, config: AgentDataConfig, services: OpenService, *, seed: int, tell: Tell | None = None
) -> AgentData:
    """Pictures and clips of a task below `<root>/agent_data`, without units; what is there already is not made again.

    Joins or starts Ray where there is something to do, unless `config.workers` is 0. Raises RapportError for a task without utterance
    patterns, settings that do not fit it, and more unusable files than `config.max_quarantined_fraction` allows.
    """
    tell = tell or _to_stderr
    plan = _plan(root, task, config, services, seed)
    if not storage.is_complete(plan.folder):
        with _ray(config):
            for stage in plan.stages:
                _run(plan.folder, stage, config, tell)
        pictures, *clips = [outcomes(plan.folder, stage.chunks) for stage in plan.stages]
        storage.write_bytes(storage.join(plan.folder, "config.yaml"), dump_config(config).encode())
        finish_recordings(plan.folder, pictures, [row for rows in clips for row in rows], plan.facts, config.max_quarantined_fraction)
    return AgentData(plan.folder)


def prepare_agent_data(
    root: str,
    task: Task,
    config: AgentDataConfig,
    services: OpenService,
    units: Callable[[], UnitEncoder],
    *,
    seed: int,
    tell: Tell | None = None,
) -> AgentData:
    """The same with the units of every clip, by the encoder that `units` opens in each worker.

    Raises RapportError as `record_agent_data`, and when more clips have no units than `config.max_quarantined_fraction` allows.
    """
    tell = tell or _to_stderr
    recorded = record_agent_data(root, task, config, services, seed=seed, tell=tell)
    rows = storage.read_table(storage.join(recorded.folder, CLIPS_TABLE)).to_pylist()
    planned = [PlannedUnits(row["path"], row["sha256"]) for row in rows]
    identity = units().identity
    chunks = cut("units", planned, {"encoder": identity}, config.chunk_clips)
    key = storage.content_key({"format": FORMAT, "chunks": [chunk.key for chunk in chunks]})
    folder = storage.join(recorded.folder, "units", key)
    if not storage.is_complete(folder):
        stage = _Stage("units", chunks, OUTCOMES, partial(UnitMaker, units, recorded.folder), config.gpus_per_worker)
        with _ray(config):
            _run(folder, stage, config, tell)
        finish_units(folder, rows, outcomes(folder, chunks), {"encoder": identity}, config.max_quarantined_fraction)
    return AgentData(recorded.folder, folder)


@dataclass(frozen=True)
class _Stage:
    """Chunks of one kind, and what makes them."""

    title: str
    chunks: list[Chunk]
    schema: pa.Schema
    make_maker: Callable[[], Maker]
    gpus_per_worker: float = 0.0


@dataclass(frozen=True)
class _Plan:
    folder: str
    stages: Sequence[_Stage]
    """Pictures, speech, noise: each wants the ones before."""
    facts: dict[str, Any]


def _plan(root: str, task: Task, config: AgentDataConfig, services: OpenService, seed: int) -> _Plan:
    patterns = task.patterns
    if patterns is None:
        raise RapportError(f"task {task.name} has no utterance_patterns.json: nothing tells what is said of its items")
    items = data_items(task)
    by_name = {item.name: item for item in task.scenario.items.values()}
    pictures = plan_pictures(items, config)
    clean, noisy = plan_clips(pictures, items, lambda name, index: patterns.utterance(by_name[name], index), config)
    # Opened here once too, so that a wrong setting is known before anything starts.
    versions = {kind: services(kind).version for kind in ("pictures", "voice")}
    drawing = {"service": versions["pictures"], "seed": seed, **config.pictures.model_dump(exclude={"train_per_folder", "test_per_folder"})}
    speaking = {"service": versions["voice"]}
    hiss = {**speaking, "seed": seed, "snr_db": config.speech.snr_db, "published_tail": config.speech.published_tail}
    chunks = (
        cut("pictures", pictures, drawing, config.chunk_pictures),
        cut("speech", clean, speaking, config.chunk_clips),
        cut("noise", noisy, hiss, config.chunk_clips),
    )
    key = storage.content_key({"format": FORMAT, "chunks": [chunk.key for stage in chunks for chunk in stage]})
    home = root if "://" in root else storage.resolve(root)[1]  # as a worker understands it, which may stand in another folder
    folder = storage.join(home, "agent_data", config.name or task.name, key)
    draw = partial(PictureMaker, partial(services, "pictures"), folder, config.pictures, seed)
    speak = partial(SpeechMaker, partial(services, "voice"), folder, config.speech)
    stages = (
        _Stage("pictures", chunks[0], PICTURES, draw, config.gpus_per_worker),
        _Stage("speech", chunks[1], CLIPS, speak, config.gpus_per_worker),
        _Stage("noise", chunks[2], CLIPS, partial(NoiseMaker, folder, config.speech, seed)),
    )
    on_train = {picture.item_id for picture in pictures if picture.side == "train"}
    facts = {
        "task": task.name,
        "seed": seed,
        "services": versions,
        "items": [{"id": item.id, "name": item.name} for item in items],
        "held_out_items": [item.id for item in items if item.id not in on_train],
    }
    return _Plan(folder, stages, facts)


def _run(folder: str, stage: _Stage, config: AgentDataConfig, tell: Tell) -> None:
    pending = unfinished(folder, stage.chunks)
    total, left = (sum(chunk.files for chunk in chunks) for chunks in (stage.chunks, pending))
    tell(f"{stage.title}: {left:,} to make, {total - left:,} there")
    if pending:
        with progress(stage.title, left) as advance:
            for done in run_chunks(folder, pending, stage.make_maker, stage.schema, config.workers, stage.gpus_per_worker):
                advance(done["files"])


@contextmanager
def _ray(config: AgentDataConfig) -> Iterator[None]:
    if config.workers == 0:
        yield
    else:
        with start_ray(num_cpus=config.workers):
            yield


def _open(kind: str, config: ServicesConfig, folder: str) -> Service[Any]:
    # Neither a voice nor pictures call the task's functions, which may be kept elsewhere.
    return load_service(kind, config, load_task(folder, strict=False, functions=TaskFunctions()))


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
