"""Check a task folder before an agent learns in it: what is wrong stops it, what is odd is told, and the scenario is drawn.

    python -m rapport.ray_jobs.check_task --task cafe_corner
    python -m rapport.ray_jobs.check_task --task ~/spolacq/tasks/mine --prompt ~/spolacq/env/prompts/mine.txt
    python -m rapport.ray_jobs.check_task --task ~/spolacq/tasks/mine --warnings-fail

Reads every file of the folder and runs its Python; holds one dialogue with it in words, to see that its functions work; and looks up the
words of its sentences in the embedded ears' dictionary. Writes to <storage>/runs/check_task/<task>/: scenario.dot (for Graphviz),
scenario.mmd (for Mermaid), sentences.txt. Needs no Ray.
"""

import sys
from typing import Any

from pydantic import Field

from rapport.core.config import JobConfig
from rapport.ray_jobs.runtime import job


class CheckTaskConfig(JobConfig):
    """Which task is checked, and how strictly."""

    task: str = "cafe"
    """The task: the name of a shipped one, or a folder or URI."""
    strict: bool = True
    """Refuse what does not fit together; false lets pass what the published simulator does."""
    prompt: str = ""
    """The judge's prompt file, which is checked as well; the shipped one unless given."""
    hold: int = Field(default=20, ge=0)
    """Dialogues that are held in words, each item asked for at random, to see that the task's functions work."""
    ears: bool = True
    """Look up the task's words in the dictionary of the embedded ears."""
    warnings_fail: bool = False
    """End with status 1 when there are warnings."""


def run(config: CheckTaskConfig) -> dict[str, Any]:
    """What was found, and the folder of the drawings."""
    from rapport.core import storage
    from rapport.ray_jobs.task_checks import held_dialogues, sentences_of, unheard_words
    from rapport.ray_jobs.training_runs.run_folder import absolute
    from rapport.simulator.checks import check_scenario
    from rapport.simulator.graph import scenario_dot, scenario_mermaid
    from rapport.simulator.prompt import load_template
    from rapport.simulator.shipped import TASKS
    from rapport.simulator.task import load_task

    task = load_task(config.task, strict=config.strict)
    template = load_template(config.prompt or TASKS / "prompts" / "cafe.txt")
    sentences = sentences_of(task)
    warnings = [*check_scenario(task.scenario, task.patterns), *(unheard_words(sentences) if config.ears else [])]
    held = held_dialogues(task, template, config.hold, config.seed) if config.hold else None
    warnings += held.warnings if held else []
    folder = storage.join(absolute(config.storage), "runs", "check_task", task.name)
    drawings = {"scenario.dot": scenario_dot(task.scenario), "scenario.mmd": scenario_mermaid(task.scenario)}
    for name, text in (drawings | {"sentences.txt": "".join(f"{sentence}\n" for sentence in sentences)}).items():
        storage.write_bytes(storage.join(folder, name), text.encode())
    for warning in warnings:
        _say(f"warning: {warning}")
    _say(f"{task.name}: {len(task.scenario.items)} items, {len(task.scenario.scenes)} scenes, {len(sentences)} sentences; see {folder}")
    return {
        "folder": folder,
        "task": task.name,
        "items": len(task.scenario.items),
        "scenes": len(task.scenario.scenes),
        "sentences": len(sentences),
        "max_step": task.max_step,
        "random_return": held.mean_return if held else None,
        "warnings": warnings,
        "ok": not (warnings and config.warnings_fail),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(CheckTaskConfig, run)
