"""The body of an agent: its data made, its mouth trained, and found again by what it is made from."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.datasets.agent_data.speech import RATE_HZ, read_clip
from rapport.datasets.agent_data.store import AgentData
from rapport.models.saving import CONFIG
from rapport.models.spolacq import mel_units
from rapport.models.spolacq.config import BodyConfig, HearingConfig
from rapport.models.spolacq.eyes import load_eyes
from rapport.models.spolacq.mel_units import MelUnits, load_mel_units
from rapport.models.spolacq.speech_to_units import SpeechToUnits, load_hearing
from rapport.ray_jobs.agent_data.prepare import OpenService, open_services, prepare_agent_data, record_agent_data
from rapport.ray_jobs.agent_training.config import TrainAgentConfig
from rapport.ray_jobs.agent_training.run_folder import BODY, agent_folder, body_folder
from rapport.ray_jobs.training_runs import run_folder as runs
from rapport.ray_jobs.training_runs.trainer import make_trainer
from rapport.ray_jobs.training_runs.watch import watched
from rapport.simulator.task import Task
from rapport.training.config import TrackingConfig
from rapport.training.image_to_units_config import ImageToUnitsTrainingConfig
from rapport.training.units_to_speech_config import UnitsToSpeechTrainingConfig

HEARING, SPELLING, SPEAKING = "hearing", "image_to_units", "units_to_speech"
Tell = Callable[[str], None]

# Raise this when the same settings would make another body.
_FORMAT = 1


class BodyRun(Config):
    """One training of a part of a body, as its folder keeps it."""

    folder: str
    """Of the body that it belongs to."""
    part: str
    """`image_to_units` or `units_to_speech`."""
    data: str
    """Folder of the recordings."""
    units: str
    """Folder of their units."""
    body: BodyConfig
    """The body."""
    image_to_units: ImageToUnitsTrainingConfig
    """The training of the image-to-unit model."""
    units_to_speech: UnitsToSpeechTrainingConfig
    """The training of the voice."""
    seed: int
    """Seed of everything random."""
    tracking: TrackingConfig
    """Curves."""

    @property
    def run(self) -> str:
        """The folder of this training."""
        return storage.join(self.folder, self.part)


def find_body(config: TrainAgentConfig, task: Task, tell: Tell, *, quiet: bool = False) -> str:
    """The folder of the agent's body, trained now unless it is there. Ray must be running.

    Raises RapportError for a body that is named and not there, and where data cannot be made.
    """
    if config.body_from:
        return _named(config)
    opened = open_services(config.services, task.folder)
    recorded = record_agent_data(config.storage, task, config.data, opened, seed=config.seed, tell=tell)
    folder = body_folder(config.storage, task.name, _key(config, recorded))
    body = storage.join(folder, BODY)
    if storage.exists(storage.join(body, CONFIG)):
        tell(f"the body is there: {body}")
        return body
    hearing = _hearing(config, recorded, folder, tell)
    data = _with_units(config, task, opened, hearing, tell)
    parts = [SPEAKING, SPELLING] if _learns_to_speak(config.body) else [SPELLING]
    for part in parts:
        _train(_run(config, folder, part, data), config, tell, quiet)
    return body


def body_figures(body: str) -> Mapping[str, Any]:
    """What was measured of a body when it was made."""
    path = storage.join(body, "metrics.json")
    figures: Mapping[str, Any] = storage.read_json(path) if storage.exists(path) else {}
    return figures


def _named(config: TrainAgentConfig) -> str:
    places = [config.body_from, storage.join(config.body_from, BODY), storage.join(agent_folder(config.storage, config.body_from), BODY)]
    for place in places:
        if storage.exists(storage.join(place, CONFIG)):
            return runs.absolute(place)
    raise RapportError(f"body_from is {config.body_from}: no body in {', '.join(places)}")


def _key(config: TrainAgentConfig, recorded: AgentData) -> str:
    """Stands for all that a body is made from."""
    made_from = {
        "format": _FORMAT,
        "recorded": recorded.folder.rsplit("/", 1)[-1],
        "seed": config.seed,
        "body": config.body.model_dump(mode="json"),
        # Our own parts change with the code; pretrained ones are named by the settings, and are too large to be loaded for this.
        "eyes": dict(load_eyes(config.body.eyes).identity) if config.body.eyes.kind == "embedded" else None,
        "hearing": mel_units.FORMAT if config.body.hearing.kind == "embedded" else None,
        SPELLING: config.image_to_units.model_dump(mode="json"),
        SPEAKING: config.units_to_speech.model_dump(mode="json") if _learns_to_speak(config.body) else None,
    }
    return storage.content_key(made_from)


def _learns_to_speak(body: BodyConfig) -> bool:
    return body.voice.kind == "tacotron" and not body.voice.tacotron_source


def _hearing(config: TrainAgentConfig, recorded: AgentData, folder: str, tell: Tell) -> SpeechToUnits:
    """What hears units; embedded ones are fitted once and kept."""
    wanted: HearingConfig = config.body.hearing
    kept = storage.join(folder, HEARING)
    if wanted.kind == "embedded" and storage.exists(storage.join(kept, "codebook.json")):
        return load_mel_units(kept)
    clips = recorded.clips("train")
    tell(f"learning units from {len(clips):,} clips" if wanted.kind == "embedded" else f"opening {wanted.source}")
    hearing = load_hearing(wanted, (read_clip(clip.path) for clip in clips), RATE_HZ, seed=config.seed)
    if isinstance(hearing, MelUnits):
        hearing.save(kept)
    return hearing


def _with_units(config: TrainAgentConfig, task: Task, opened: OpenService, hearing: SpeechToUnits, tell: Tell) -> AgentData:
    wanted, seed = config.body.hearing, config.seed

    def open_hearing() -> SpeechToUnits:
        # Pretrained ones are loaded where they are used; fitted ones are small and travel.
        return hearing if wanted.kind == "embedded" else load_hearing(wanted, (), RATE_HZ, seed=seed)

    return prepare_agent_data(config.storage, task, config.data, opened, open_hearing, seed=seed, tell=tell)


def _run(config: TrainAgentConfig, folder: str, part: str, data: AgentData) -> BodyRun:
    return BodyRun(
        folder=folder,
        part=part,
        data=data.folder,
        units=data.units_folder or "",
        body=config.body,
        image_to_units=config.image_to_units,
        units_to_speech=config.units_to_speech,
        seed=config.seed,
        tracking=config.tracking,
    )


def _train(run: BodyRun, config: TrainAgentConfig, tell: Tell, quiet: bool) -> None:
    """Train one part, from its last checkpoint if it has one."""
    from rapport.ray_jobs.agent_training.body_worker import train_part

    state = runs.state_of(run.run)
    if state == "finished":
        return
    if state == "new":
        runs.begin(run.run, run, {"data": run.data, "units": run.units})
    runs.prune_checkpoints(run.run)
    tell(f"{run.part}: {'going on' if state == 'interrupted' else 'training'}")
    trainer = make_trainer(train_part, {"run": run.model_dump(mode="json")}, config.workers, run.run)
    with nullcontext() if quiet else watched(run.run, run.part, _line):
        outcome: Any = trainer.fit()
    figures = outcome.return_value
    if "error" in figures:
        raise RapportError(figures["error"])
    runs.prune_checkpoints(run.run)
    storage.write_json(storage.join(run.run, runs.RESULT), figures)


def _line(record: Mapping[str, Any]) -> str:
    """One epoch in a line."""
    told = f"epoch {record['epoch']}  " + "  ".join(f"{name} {value:.3f}" for name, value in record["train"].items())
    if validation := record["validation"]:
        told += "  validation " + "  ".join(f"{name} {value:.3f}" for name, value in validation.items())
    return f"{told}{'  best' if record['best'] else ''}  {record['seconds']:.0f} s"
