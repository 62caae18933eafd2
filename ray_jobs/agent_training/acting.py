"""A body learns what to say: the settings of a job made into a plan, learned, tracked, and put together as an agent."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import ray
from ray.tune.registry import register_env

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.saving import CARD, CONFIG, METRICS, WEIGHTS
from rapport.models.spolacq.policy import Layout, common_scale
from rapport.ray_jobs.agent_services.hosts import ServicePlace, host_services
from rapport.ray_jobs.agent_training import checkpoint, environment
from rapport.ray_jobs.agent_training.algorithms import ACTIONS, Plan
from rapport.ray_jobs.agent_training.checkpoint import LearningProgress
from rapport.ray_jobs.agent_training.config import TrainAgentConfig
from rapport.ray_jobs.agent_training.learning import BEST, learn
from rapport.ray_jobs.agent_training.run_folder import BODY, FREE, POLICY, agent_folder, run_folder
from rapport.ray_jobs.agent_training.world import AgentWorld, feature_scale, open_environment, open_world, save_world
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.training_runs import run_folder as runs
from rapport.ray_jobs.training_runs.watch import watched
from rapport.simulator.shipped import TASKS
from rapport.simulator.task import Task
from rapport.training.report import Report
from rapport.training.tracking import Tracker

if TYPE_CHECKING:
    from ray.train.v2.api.callback import UserCallback

Tell = Callable[[str], None]
_PATIENCE_S = 30.0


def learn_to_act(
    config: TrainAgentConfig, task: Task, body: str, tell: Tell, *, callbacks: Sequence["UserCallback"] = (), quiet: bool = False
) -> dict[str, Any]:
    """The result of the learning, which is also written down: from then on it is finished. Ray must be running."""
    folder = run_folder(config.storage, config.name)
    state = _state(folder, config)
    if state == "finished":
        tell(f"the learning is finished: this is its result (--fresh learns anew) {folder}")
        return runs.finished_result(folder)
    if state == "new":
        runs.begin(folder, config, {"body": body, "task": str(task.folder)})
    world = _world(config, task, body)
    with host_services(config.services, task, config.hosts) as place:
        _check_room(config.learning.runners, _free_cpus(config.learning.runners), tell, grows=bool(os.environ.get("RAY_ADDRESS")))
        plan = _plan(config, world, place)
        found = checkpoint.newest(folder)
        tracker = _tracker(folder, config, found)
        with nullcontext() if quiet else watched(folder, config.name, _line):
            progress = learn(plan, folder, partial(_told, tracker, config, callbacks))
            tracker.close()
    agent = agent_folder(config.storage, config.name)
    result = {
        "folder": folder,
        "name": config.name,
        "model": agent,
        "task": task.name,
        "algorithm": config.learning.algorithm,
        "revision": revision(),
        "resumed": found is not None,
        "turns": progress.turns,
        "epochs": progress.iteration,
        "best_epoch": progress.best_iteration,
        "stopped": progress.stopped,
        "seconds": progress.seconds,
        "train": progress.history[-1]["train"],
        "validation": progress.history[(progress.best_iteration or progress.iteration) - 1]["validation"],
    }
    _put_together(agent, folder, world, body, result)
    storage.write_json(storage.join(folder, runs.RESULT), result)
    return result


def _state(folder: str, config: TrainAgentConfig) -> str:
    """Whether a learning is new, interrupted or finished. Raises ConfigError when it was begun with other settings."""
    finished = storage.exists(storage.join(folder, runs.RESULT))
    state = "finished" if finished else "interrupted" if checkpoint.newest(folder) else "new"
    if state != "new":
        runs.check_unchanged(folder, config, FREE)
    return state


def _free_cpus(wanted: int) -> float:
    """CPUs that nothing has reserved, as soon as there are so many, or after a while: what has just ended may still be counted."""
    deadline = time.monotonic() + _PATIENCE_S
    while (free := float(ray.available_resources().get("CPU", 0.0))) < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    return free


def _check_room(runners: int, free: float, tell: Tell, *, grows: bool) -> None:
    """Raises RapportError where a cluster that cannot grow has no CPUs for the runners: RLlib would wait for them without end."""
    if runners <= free:
        return
    told = f"{runners} runners (learning.runners) want as many CPUs, and {free:g} are free beside the services"
    if not grows:
        raise RapportError(f"{told}: lower the one, or hosts.<kind>.num_cpus, which is 0 for services that share what there is")
    tell(f"{told}: waiting for more")


def _world(config: TrainAgentConfig, task: Task, body: str) -> AgentWorld:
    return AgentWorld(
        # A shipped task is found by its name wherever the agent is taken.
        task=task.name if task.folder == (TASKS / task.name).resolve() else str(task.folder),
        strict=config.strict,
        prompt=config.prompt,
        services=config.services,
        simulator=config.simulator,
        agent=config.environment,
        body=body,
    )


def _plan(config: TrainAgentConfig, world: AgentWorld, place: ServicePlace) -> Plan:
    """What the algorithm is built from; opens the world here once, to know its sizes."""
    body = open_world(world, place).body
    space = open_environment(world, 1, place=place)
    image, observed = space.single_action_space["image"], space.single_observation_space  # type: ignore[index]
    assert isinstance(image, gym.spaces.Discrete)
    assert observed.shape is not None
    pictures = int(image.n)
    layout = Layout(
        numbers=observed.shape[0] - pictures * body.feature_width,
        features=body.feature_width,
        sentence=body.sentence_width,
        pictures=pictures,
        limit=world.agent.sentence_limit,
    )
    if config.policy.normalise:
        centre, scale = common_scale(feature_scale(world, place), layout.numbers)
        layout = replace(layout, centre=centre, scale=scale)
    context = {
        "world": world,
        "place": place,
        "actions": ACTIONS[config.learning.algorithm],
        "time_limit_ends": config.learning.time_limit_ends,
    }
    register_env(environment.ENVIRONMENT, environment.create)
    return Plan(config.learning, config.policy, layout, environment.ENVIRONMENT, context, config.seed)


def _tracker(folder: str, config: TrainAgentConfig, found: str | None) -> Tracker:
    """Curves, which go on where the checkpoint was."""
    before = checkpoint.progress_of(found) if found else LearningProgress()
    return Tracker(
        folder, config.tracking, name=config.name, settings=runs.flat_settings(config), history=before.history, step=before.turns
    )


def _told(
    tracker: Tracker, config: TrainAgentConfig, callbacks: Sequence["UserCallback"], progress: LearningProgress, record: Mapping[str, Any]
) -> None:
    """Pass an iteration on to the curves, and its evaluation to a search."""
    tracker(
        Report(
            epoch=progress.iteration,
            step=progress.turns,
            total_steps=config.learning.turns,
            learning_rates={},
            loss=lambda: 0.0,
            record=dict(record),
        )
    )
    for callback in callbacks:
        heard: Any = None  # no Ray Train runs here, whose context and checkpoints callbacks are told of
        callback.after_report(heard, [{"epoch": progress.iteration, **(record["validation"] or {})}], None)


def _line(record: Mapping[str, Any]) -> str:
    """One iteration in a line."""
    train, validation = record["train"], record["validation"]
    told = f"{record['turns']:,} turns  return {train.get('mean_return', 0.0):.3f}  understood {train.get('understood', 0.0):.0%}"
    if validation:
        told += f"  evaluated {validation['mean_return']:.3f} ± {validation['standard_error']:.3f}{'  best' if record['best'] else ''}"
    return f"{told}  {record['seconds']:.0f} s"


def _put_together(agent: str, folder: str, world: AgentWorld, body: str, result: Mapping[str, Any]) -> None:
    """An agent's folder: its body, its best policy, its world; complete when `world.json` is there."""
    for part, source in ((BODY, body), (POLICY, storage.join(folder, BEST))):
        for name in (WEIGHTS, CARD, METRICS, CONFIG):
            if storage.exists(storage.join(source, name)):
                storage.write_bytes(storage.join(agent, part, name), storage.read_bytes(storage.join(source, name)))
    storage.write_json(storage.join(agent, METRICS), dict(result))
    storage.write_bytes(storage.join(agent, CARD), _card(result).encode())
    save_world(agent, world)


def _card(result: Mapping[str, Any]) -> str:
    figures = result["validation"]
    return (
        "---\nlibrary_name: rapport\ntags: [speech, reinforcement-learning]\n---\n# A speaking agent\n\n"
        f"Learned `{result['task']}` by `{result['algorithm']}` in {result['turns']:,} turns. On pictures of the test pool, "
        f"{figures['episodes']:,} episodes: mean return {figures['mean_return']:.3f} ± {figures['standard_error']:.3f}, "
        f"understood {figures.get('understood', 0.0):.1%}.\n\n"
        "`body/` sees and speaks, `policy/` chooses what to say, `world.json` tells where it learned.\n"
    )
