"""Evaluate an agent that learned to speak, on pictures that it has not seen, beside policies that know everything or nothing.

    python -m rapport.ray_jobs.evaluate_agent                                    # the newest agent
    python -m rapport.ray_jobs.evaluate_agent --model first --episodes 500 --grammar False
    python -m rapport.ray_jobs.evaluate_agent --model first --second-judge rule:pattern --export turns episodes
    ray job submit --working-dir . -- python -m rapport.ray_jobs.evaluate_agent --model first --storage s3://bucket/rapport

All systems meet the same beginnings of episodes, none of which training has met. Beside the agent act its own choices said in words, and
reference policies, of which `--spoken` ones are also heard. The result lies in <storage>/runs/evaluate_agent/<name>/: index.html to read,
replay.html to watch and hear, metrics.json, turns.parquet, recordings/, and offline/ for RLlib. Nothing of the agent or its training is
touched.
"""

import sys
from typing import Any

from rapport.ray_jobs.agent_evaluation.config import EvaluateAgentConfig
from rapport.ray_jobs.runtime import job, start_ray


def run(config: EvaluateAgentConfig) -> dict[str, Any]:
    """The folder of the evaluation, its pages, and the main figures of every system."""
    from rapport.core import storage
    from rapport.core.config import dump_config
    from rapport.ray_jobs.agent_evaluation import outputs
    from rapport.ray_jobs.agent_evaluation.running import play_all, shares_of, systems_of
    from rapport.ray_jobs.agent_evaluation.subject import choose_subject
    from rapport.ray_jobs.agent_services.hosts import host_services

    subject = choose_subject(config)
    for warning in subject.warnings:
        _say(f"warning: {warning}")
    _say(f"{subject.name} in {subject.task.name}: {config.episodes} episodes each of {', '.join(s.name for s in systems_of(config))}")
    folder = outputs.evaluation_folder(subject, config)
    storage.remove(folder)  # an earlier evaluation of this name
    storage.write_bytes(storage.join(folder, "config.yaml"), dump_config(config).encode())
    with start_ray(), host_services(subject.world.services, subject.task, config.hosts) as place:
        played = play_all(shares_of(subject, config, folder, place), config)
    metrics = outputs.figures(subject, played, config)
    storage.write_json(storage.join(folder, outputs.METRICS), metrics)
    outputs.write_turns(folder, played)
    exported = outputs.write_offline(folder, played, config)
    page = outputs.write_pages(folder, subject, played, metrics, config)
    _say(f"{outputs.summary(metrics)}; see {page}")
    return {
        "folder": folder,
        "name": folder.rsplit("/", 1)[-1],
        "page": page,
        "offline": exported,
        **metrics["about"],
        "figures": {name: outputs.brief(metrics["systems"][name]) for name in metrics["about"]["systems"]},
        "audit": {key: metrics["audit"][key] for key in ("item", "scene", "both")} if metrics["audit"] else None,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(EvaluateAgentConfig, run)
