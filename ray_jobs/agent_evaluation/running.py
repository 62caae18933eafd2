"""All dialogues of an evaluation as Ray tasks, each a share of one system's episodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.progress import progress
from rapport.ray_jobs.agent_evaluation.config import EvaluateAgentConfig
from rapport.ray_jobs.agent_evaluation.playing import AGENT, WORDS, Share, System, play_share
from rapport.ray_jobs.agent_evaluation.subject import Subject
from rapport.ray_jobs.agent_services.hosts import ServicePlace
from rapport.simulator.recording import Recording, read_recording

RECORDINGS, LOGS, OFFLINE = "recordings", "published_logs", "offline"


@dataclass(frozen=True)
class Played:
    """What was held, by system."""

    recordings: Mapping[str, Sequence[Recording]]
    """Of the system's shards, in order."""

    def turns(self, system: str) -> list[Mapping[str, Any]]:
        """The turns of all shards."""
        return [turn for recording in self.recordings[system] for turn in recording.turns]


def systems_of(config: EvaluateAgentConfig) -> list[System]:
    """Everything that acts, the agent first."""
    found = [System(AGENT, "agent")] + [System(WORDS, "words")] * config.words
    found += [System(name, "reference", name) for name in config.references]
    return found + [System(f"{name}_spoken", "spoken", name, config.spoken_pattern) for name in config.spoken]


def shares_of(subject: Subject, config: EvaluateAgentConfig, folder: str, place: ServicePlace | None) -> list[Share]:
    """The tasks of every system."""
    shards = min(config.shards, config.episodes)
    found = []
    for system in systems_of(config):
        for worker in range(shards):
            own = system.kind == "agent"
            shown = config.shown // shards + (worker < config.shown % shards)
            found.append(
                Share(
                    world=subject.world,
                    place=place,
                    system=system,
                    policy=subject.policy,
                    seed=subject.seed,
                    worker=worker,
                    episodes=config.episodes // shards + (worker < config.episodes % shards),
                    sessions=config.sessions,
                    folder=storage.join(folder, RECORDINGS, system.name, str(worker)),
                    media=(None if config.record == "all" else shown) if own else 0,
                    # Each shard counts its dialogues from 1.
                    logs=storage.join(folder, LOGS, str(worker)) if own and config.published_logs else "",
                    exports=config.export if own else (),
                )
            )
    return found


def play_all(shares: Sequence[Share], config: EvaluateAgentConfig) -> Played:
    """Plays every share. Ray must be initialised. Raises what a share raises."""
    folders = _run(play_share, shares, config)
    recordings: dict[str, list[Recording]] = {}
    for share, folder in zip(shares, folders, strict=True):
        recordings.setdefault(share.system.name, []).append(read_recording(folder))
    played = Played(recordings)
    agent = played.turns(AGENT)
    broken = {turn["episode"] for turn in agent if turn["failed"]}
    if len(broken) == len({turn["episode"] for turn in agent}):
        raise RapportError(f"services broke off all {len(broken)} episodes of the agent, as in: {agent[-1]['failed']}")
    return played


def _run(function: Callable[[Share], str], shares: Sequence[Share], config: EvaluateAgentConfig) -> list[str]:
    """The results in order, so many at a time as there are processors."""
    import ray

    task = ray.remote(function).options(num_cpus=1, num_gpus=config.gpus_per_task)
    waiting = {task.remote(share): place for place, share in enumerate(shares)}
    found = [""] * len(shares)
    with progress("dialogues", sum(share.episodes for share in shares)) as advance:
        while waiting:
            done, _ = ray.wait(list(waiting))
            for reference in done:
                place = waiting.pop(reference)
                found[place] = ray.get(reference)
                advance(shares[place].episodes)
    return found
