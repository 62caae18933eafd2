"""Train an agent that sees, speaks and is understood: its data, its body, and then what to say, with RLlib.

    python -m rapport.ray_jobs.train_agent --config cafe --name first
    python -m rapport.ray_jobs.train_agent --config cafe_corner --name corner --learning.algorithm sac
    python -m rapport.ray_jobs.train_agent --config published --task ~/spolacq/tasks/food_task --prompt ~/spolacq/env/prompts/food_task.txt
    ray job submit --working-dir . -- python -m rapport.ray_jobs.train_agent --config cafe --storage s3://bucket/rapport

First the pictures and the speech that the body learns from, then the body: units of speech, and how to say what is seen. Both are known by
what they are made from, and found again by other runs. Then the agent acts in dialogues that are really spoken and heard, and learns from
what it is handed. Kill it and run it again: it goes on from its last checkpoint and ends with the same weights. `--fresh` learns anew.
The agent lies in <storage>/models/spolacq/<name>/, curves and settings in <storage>/runs/train_agent/<name>/. Figures told as validation
are of episodes with pictures of the test pool, acted without trying anything out; evaluate_agent measures more.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rapport.ray_jobs.agent_training.config import TrainAgentConfig, resolved
from rapport.ray_jobs.runtime import job, start_ray

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback


def run(config: TrainAgentConfig) -> dict[str, Any]:
    """The folders of the run and of the agent, and what it came to."""
    return train(config)


def train(config: TrainAgentConfig, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False) -> dict[str, Any]:
    """As `run`; `callbacks` hear of every iteration, as a search wants. Starts or joins Ray."""
    config = resolved(config)
    if config.fresh:
        _set_aside(config, quiet)

    def tell(line: str) -> None:
        _say(line, quiet)

    with start_ray():
        from rapport.ray_jobs.agent_training.acting import learn_to_act
        from rapport.ray_jobs.agent_training.body import body_figures, find_body
        from rapport.simulator.task import load_task

        task = load_task(config.task, strict=config.strict)
        body = find_body(config, task, tell, quiet=quiet)
        result = learn_to_act(config, task, body, tell, callbacks=callbacks, quiet=quiet)
        return {**result, "body": {"folder": body, **body_figures(body)}}


def for_search(config: TrainAgentConfig) -> TrainAgentConfig:
    """The same settings for a trial of a search: it acts in its own process, and as often as it can tells how good it is.

    Trials have storage roots of their own, so each makes its body unless `body_from` names the folder of one.
    """
    from rapport.core.config import with_values

    return with_values(resolved(config), {"learning.runners": 0})


def _set_aside(config: TrainAgentConfig, quiet: bool) -> None:
    from rapport.ray_jobs.agent_training.run_folder import agent_folder, run_folder
    from rapport.ray_jobs.training_runs.run_folder import set_aside

    for earlier in (run_folder(config.storage, config.name), agent_folder(config.storage, config.name)):
        if aside := set_aside(earlier):
            _say(f"moved the earlier {earlier} to {aside}", quiet)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(TrainAgentConfig, run)
