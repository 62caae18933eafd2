"""What an evaluation leaves behind: metrics, turns, pictures, pages. Nothing is written into the agent's own folders."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pydantic_core import from_json, to_json

from rapport.core import storage
from rapport.models.spolacq.services import load_service
from rapport.ray_jobs.agent_evaluation import measure, offline
from rapport.ray_jobs.agent_evaluation.audit import audit
from rapport.ray_jobs.agent_evaluation.config import EvaluateAgentConfig
from rapport.ray_jobs.agent_evaluation.playing import AGENT
from rapport.ray_jobs.agent_evaluation.running import OFFLINE, Played, systems_of
from rapport.ray_jobs.agent_evaluation.speech_scores import WantedWords, patterns_used
from rapport.ray_jobs.agent_evaluation.subject import Subject
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.reports.agent import agent_page
from rapport.ray_jobs.reports.agent_pictures import confusion_picture, returns_picture
from rapport.ray_jobs.reports.replay import replay_page
from rapport.ray_jobs.training_runs.run_folder import absolute
from rapport.simulator.prompt import load_template
from rapport.simulator.recording import SCHEMA, Recording
from rapport.simulator.shipped import TASKS

METRICS, TURNS, PAGE, REPLAY = "metrics.json", "turns.parquet", "index.html", "replay.html"
CONFUSION, RETURNS = "confusion.png", "returns.png"
BRIEF = ("mean_return", "success", "understood", "item_accuracy", "choice", "wer")
_WHAT = {
    "agent": "the agent, as it learned to act, in its own speech",
    "words": "the same choices in words that are heard without a mistake",
    "silence": "says nothing",
    "random": "names any item on offer",
    "rule": "names the first item on offer",
    "darkest": "names the item whose picture is darkest, whatever it wants",
    "worst": "names the item that is worth least",
    "best_corner": "first the item that is best on average, then as the oracle",
    "oracle": "names the item that is worth most, turns to come included",
}


def evaluation_folder(subject: Subject, config: EvaluateAgentConfig) -> str:
    """`<storage>/runs/evaluate_agent/<name>`."""
    return storage.join(absolute(config.storage), "runs", "evaluate_agent", config.name or subject.name)


def figures(subject: Subject, played: Played, config: EvaluateAgentConfig) -> dict[str, Any]:
    """`about`; `systems`, everything about each; `differences`, the agent less each other, with intervals of the difference; of the agent
    besides `unseen`, `patterns`, and `audit` of a second judge (None without)."""
    wanted = WantedWords(subject.task)
    options = {"resamples": config.resamples, "seed": config.seed}
    systems = systems_of(config)
    turns = {system.name: played.turns(system.name) for system in systems}
    reports = {
        system.name: {
            "kind": system.kind,
            "what": _WHAT[system.source or system.kind] + (", aloud in the counterpart's voice" if system.kind == "spoken" else ""),
            **measure.report(turns[system.name], wanted, **options),
        }
        for system in systems
    }
    mine = turns[AGENT]
    found = {
        "about": _about(subject, config, reports),
        "systems": reports,
        "differences": {
            system.name: measure.differences(mine, turns[system.name], wanted, **options) for system in systems if system.name != AGENT
        },
        "unseen": measure.split(mine, subject.unseen_items, wanted),
        "patterns": patterns_used(mine, wanted, subject.unseen_patterns),
        "audit": _audit(subject, config, mine) if config.second_judge else None,
    }
    # JSON has no NaN: what is undefined is null.
    plain: dict[str, Any] = from_json(to_json(found, inf_nan_mode="null"))
    return plain


def write_turns(folder: str, played: Played) -> None:
    """All turns of all systems as one table."""
    rows = [turn for system in played.recordings for turn in played.turns(system)]
    storage.write_table(storage.join(folder, TURNS), pa.Table.from_pylist(rows, schema=SCHEMA))


def write_offline(folder: str, played: Played, config: EvaluateAgentConfig) -> str | None:
    """The agent's episodes as offline data; its folder."""
    if not config.export:
        return None
    target = storage.join(folder, OFFLINE)
    offline.gather([storage.join(recording.folder, OFFLINE) for recording in played.recordings[AGENT]], target, config.export)
    return target


def write_pages(folder: str, subject: Subject, played: Played, metrics: Mapping[str, Any], config: EvaluateAgentConfig) -> str:
    """Pictures, the replay page and the front page; gives the path of the last."""
    systems = {name: metrics["systems"][name] for name in metrics["about"]["systems"]}
    storage.write_bytes(storage.join(folder, CONFUSION), confusion_picture(systems[AGENT]["confusion"], subject.name))
    storage.write_bytes(storage.join(folder, RETURNS), returns_picture(systems))
    shown = shown_episodes(played.recordings[AGENT], config.shown)
    if shown:
        page = replay_page(f"{subject.name} in {subject.task.name}", shown, subject.task)
        storage.write_bytes(storage.join(folder, REPLAY), page.encode())
    links = {"replay": REPLAY if shown else None, "confusion": CONFUSION, "returns": RETURNS}
    path = storage.join(folder, PAGE)
    storage.write_bytes(path, agent_page(metrics, links).encode())
    return path


def shown_episodes(recordings: Sequence[Recording], most: int) -> list[tuple[Recording, Sequence[Mapping[str, Any]]]]:
    """The first episodes of each recording whose pictures were kept, the recordings in turns."""
    found = [(number, place) for place, recording in enumerate(recordings) for number in range(len(recording.episodes()))]
    episodes = [recording.episodes() for recording in recordings]
    kept: list[tuple[Recording, Sequence[Mapping[str, Any]]]]
    kept = [(recordings[place], episodes[place][number]) for number, place in sorted(found) if _kept(episodes[place][number])]
    return kept[:most]


def brief(system: Mapping[str, Any]) -> dict[str, Any]:
    """A system's main figures in a few numbers."""
    return {name: system["figures"][name]["value"] for name in BRIEF if name in system["figures"]}


def summary(metrics: Mapping[str, Any]) -> str:
    """One line for people."""
    own = metrics["systems"][AGENT]["figures"]
    told = f"mean return {own['mean_return']['value']:.3f} ({own['mean_return']['low'] or 0:.3f} to {own['mean_return']['high'] or 0:.3f})"
    told += f", understood {own['understood']['value']:.1%}" if "understood" in own else ""
    earned = {name: metrics["systems"][name]["figures"].get("mean_return") for name in metrics["differences"]}
    others = [f"{name} {found['value']:.3f}" for name, found in earned.items() if found]
    return told + (f"; beside it {', '.join(others)}" if others else "")


def _kept(episode: Sequence[Mapping[str, Any]]) -> bool:
    return all(len(turn["pictures"]) == len(turn["offered"]) for turn in episode) and any(turn["pictures"] for turn in episode)


def _about(subject: Subject, config: EvaluateAgentConfig, reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    services = subject.world.services
    failed = {name: report["counts"]["failed"] for name, report in reports.items() if report["counts"]["failed"]}
    warnings = [*subject.warnings, *(f"{name}: services broke off {count} episodes, which are left out" for name, count in failed.items())]
    return {
        "agent": subject.name,
        "model": subject.folder,
        "task": subject.task.name,
        "algorithm": subject.trained.get("algorithm"),
        "turns_of_training": subject.trained.get("turns"),
        "systems": list(reports),
        "episodes": config.episodes,
        "services": {key: getattr(services, key) for key in ("judge", "ears", "grammar", "voice", "pictures")},
        "unseen_items": list(subject.unseen_items),
        "seed": config.seed,
        "episode_seed": subject.seed,
        "resamples": config.resamples,
        "revision": revision(),
        "warnings": warnings,
    }


def _audit(subject: Subject, config: EvaluateAgentConfig, turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    services = subject.world.services.model_copy(update={"judge": config.second_judge})
    template = load_template(subject.world.prompt or TASKS / "prompts" / "cafe.txt")
    return audit(turns, subject.task, template, load_service("judge", services, subject.task))
