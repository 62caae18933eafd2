"""Self-taught reasoning as one stage of a training: rounds, until nothing more is to be had.

    result = run_steer(SteerSetup(folder, "first steer", SteerConfig(), settings, start_from, base, pool=(file,), seeds=(file,)))

What it writes is told in `artefacts.py`. Run again, it goes on with the round that was under way; the rounds before are only checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rapport.core import storage
from rapport.core.config import Config
from rapport.models.erc.model_config import ErcModelConfig, ErcTrainableConfig
from rapport.ray_jobs.coe_rollouts.config import RolloutConfig
from rapport.ray_jobs.coe_training.sft import SftSettings, train_sft
from rapport.ray_jobs.coe_training.steer.artefacts import StageFiles, file_hash, sealed_rounds, told_full_disk
from rapport.ray_jobs.coe_training.steer.config import SteerConfig
from rapport.ray_jobs.training_runs import run_folder
from rapport.ray_jobs.training_runs.config import WorkersConfig
from rapport.training.sft_config import FREE

if TYPE_CHECKING:
    from rapport.ray_jobs.coe_training.steer.rounds import Ask, Train

_FREE = ("model.attention", "steer.generation.batch_", *(f"steer.training.{name}" for name in FREE))
"""Settings that may change between one run of a stage and the next: they change neither weights nor answers."""


@dataclass(frozen=True, slots=True)
class PublishedFaults:
    """Run the rounds as the published code really ran them, to measure against (CoE, spec section 7.1)."""

    dataset: str
    """Name of the corpus, by which the published filter chooses its labels."""
    workers: int = 1
    """Workers whose answers it compares with the labels of other lines; with one, all are compared rightly."""


@dataclass(frozen=True, slots=True)
class SteerSetup:
    """What a stage of self-taught reasoning is made of. Paths are absolute, or URIs."""

    folder: str
    """Of the stage: everything is written below it."""
    label: str
    """What progress lines call it."""
    config: SteerConfig
    settings: SftSettings
    """The model, what of it is trained, tracking. Its `training` and `seed` are replaced by each round's."""
    start_from: str | None
    """Model folder that the stage begins with; None is the base model of the settings."""
    base: str | None
    """Model folder that `restart_from: base` starts from; None is the base model of the settings."""
    pool: tuple[str, ...]
    """Files of examples of `steer` to be solved, of train only."""
    seeds: tuple[str, ...]
    """Files of examples with reasons: the first memory."""
    validation: tuple[str, ...] = ()
    """Files of examples of `steer` that are asked to watch progress."""
    seed: int = 0
    workers: WorkersConfig = field(default_factory=WorkersConfig)
    rollouts: RolloutConfig = field(default_factory=RolloutConfig)
    tokenizer: str | None = None
    """As `SftTask` has it; read only where a training starts from the base model of the settings."""
    texts: tuple[str, ...] = ()
    """The same."""
    lineage: Mapping[str, Any] = field(default_factory=dict)
    """What the model folders say they were made from."""
    published: PublishedFaults | None = None
    """None trains on what is accepted, with the right labels."""


def run_steer(setup: SteerSetup, *, quiet: bool = False, train: "Train | None" = None, ask: "Ask | None" = None) -> dict[str, Any]:
    """Run the rounds that are still to be run, and give what they came to. Ray must be running.

    The result: `model` (folder of the chosen round's), `memory` (the last, a file of examples), `chosen` (the round), `rounds` (their
    records), `stopped` (`pool_solved`, `growth` or `rounds`) and `seconds`. `train` and `ask` stand in for `train_sft` and
    `write_answers`. Raises RapportError for examples that may not be learned from, for files or settings that changed since the rounds
    that were run, and for a full disk.
    """
    from rapport.ray_jobs.coe_rollouts.ask import write_answers
    from rapport.ray_jobs.coe_training.steer.rounds import Round

    with told_full_disk(setup.folder):
        files = StageFiles(setup.folder)
        total, before = _begin(setup, files)
        rounds = sealed_rounds(files, before)
        while True:
            stopped = stop_reason(rounds, setup.config, total, published=setup.published is not None)
            if stopped is not None and not _trains_again(rounds, setup):
                break
            after = rounds[-1]["seal"] if rounds else before
            work = Round(setup, len(rounds), last=stopped is not None, train=train or train_sft, ask=ask or write_answers, quiet=quiet)
            rounds.append(work.run(after))
    chosen = choose_round(rounds, setup.config)
    memories = sum(not record["last"] for record in rounds)
    return {
        "model": files.model(chosen),
        "memory": files.memory(memories),
        "chosen": chosen,
        "rounds": rounds,
        "stopped": stopped,
        "seconds": sum(record["seconds"] for record in rounds),
    }


def stop_reason(rounds: Sequence[Mapping[str, Any]], config: SteerConfig, total: int, *, published: bool = False) -> str | None:
    """Why no further round asks the pool, which had `total` examples: `pool_solved`, `growth`, `rounds`; None while one does.

    The published code knows the number of rounds alone.
    """
    done = [record for record in rounds if not record["last"]]
    if done and not published:
        newest = done[-1]
        if not newest["pool"]:
            return "pool_solved"
        if newest["asks"] and newest["solved"] < config.min_growth * total:
            return "growth"
    return "rounds" if len(done) >= config.rounds else None


def choose_round(rounds: Sequence[Mapping[str, Any]], config: SteerConfig) -> int:
    """The round whose model goes on: the best on validation, of equals the later; the last where that says so or nothing was asked."""
    if config.selection == "best" and all(record["validation"] for record in rounds):
        return max(range(len(rounds)), key=lambda number: (rounds[number]["validation"]["weighted_f1"], number))
    return len(rounds) - 1


def _trains_again(rounds: Sequence[Mapping[str, Any]], setup: SteerSetup) -> bool:
    """Whether the last memory holds what nothing has learned from, and is to be."""
    newest = rounds[-1]
    return setup.config.final_training and setup.published is None and not newest["last"] and newest["accepted"] > 0


class _Kept(Config):
    """What the rounds of a stage are made from."""

    steer: SteerConfig
    """Settings of the rounds."""
    model: ErcModelConfig
    """The model."""
    trainable: ErcTrainableConfig
    """Which of its weights are learned."""
    seed: int
    """Seed of everything random."""
    faults: str
    """Which faults of the published code are kept; empty for none."""
    seeds: tuple[str, ...]
    """sha256 of the files of seeds."""
    pool: tuple[str, ...]
    """sha256 of the files of the pool."""
    validation: tuple[str, ...]
    """sha256 of the files of validation."""


def _begin(setup: SteerSetup, files: StageFiles) -> tuple[int, str]:
    """Write down what a new stage is made from, or check that it still is; gives the size of the pool, and what its first round follows."""
    from rapport.datasets.conversations.examples import read_records, write_records
    from rapport.ray_jobs.coe_training.mixture import limited
    from rapport.ray_jobs.coe_training.steer.memory import check_inputs

    faults = setup.published and f"{setup.published.dataset}, {setup.published.workers} workers"
    digests = {name: tuple(file_hash(path) for path in getattr(setup, name)) for name in ("seeds", "pool", "validation")}
    settings = setup.settings
    kept = _Kept(steer=setup.config, model=settings.model, trainable=settings.trainable, seed=setup.seed, faults=faults or "", **digests)
    seeds = [example for path in setup.seeds for example in read_records(path)]
    pool = [example for path in setup.pool for example in read_records(path)]
    check_inputs(seeds, pool)
    pool = limited(pool, setup.config.pool_examples, setup.seed)
    if storage.exists(storage.join(setup.folder, run_folder.CONFIG)):
        # Sizes of the embedded model are read by no other.
        free = _FREE if settings.model.is_embedded else (*_FREE, "model.embedded.")
        run_folder.check_unchanged(setup.folder, kept, free)
    else:
        sources = {"start_from": setup.start_from, "base": setup.base, **{name: list(getattr(setup, name)) for name in digests}}
        run_folder.begin(setup.folder, kept, {**sources, "lineage": dict(setup.lineage)})
    if not storage.exists(files.record(0)):
        write_records(files.memory(0), seeds)
        write_records(files.pool(0), pool)
    return len(pool), storage.content_key({name: list(found) for name, found in digests.items()})
