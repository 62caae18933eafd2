"""An agent learns by acting: iterations of an algorithm, evaluated, told and saved, from wherever the last session was killed.

    result = learn(plan, folder, tell=lambda record: None)

folder/best/, folder/last/    policies (`AgentPolicy`)        folder/checkpoints/    the newest checkpoint
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics import LEARNER_RESULTS

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.ray_jobs.agent_training import checkpoint, processes
from rapport.ray_jobs.agent_training.algorithms import Plan, build
from rapport.ray_jobs.agent_training.checkpoint import LearningProgress

BEST, LAST = "best", "last"
_TOLD = {
    "policy_loss": "policy_loss",
    "vf_loss": "value_loss",
    "qf_loss": "critic_loss",
    "critic_loss": "critic_loss",
    "entropy": "choice_entropy",
    "alpha_value": "temperature",
    "logps": "log_likelihood",
    "vf_explained_var": "value_explained",
}
"""RLlib's name of a figure to ours."""


def learn(plan: Plan, folder: str, tell: Callable[[LearningProgress, dict[str, Any]], None]) -> LearningProgress:
    """Learn to the end, and leave the best policy and the last in the folder.

    `tell` hears of every iteration. Run again with the same plan, it goes on from the newest checkpoint, and comes to the same weights and
    figures as a learning that was never interrupted. Ray must be running. Raises RapportError when losses stop being numbers.
    """
    torch.set_num_threads(plan.learning.threads)
    algorithm = build(plan)
    try:
        found = checkpoint.newest(folder)
        progress = checkpoint.restore(found, algorithm) if found else LearningProgress()
        while not _done(plan, progress):
            _iterate(plan, algorithm, folder, progress, tell)
        _keep(plan, algorithm, storage.join(folder, LAST), progress)
    finally:
        algorithm.stop()
    return progress


def _iterate(
    plan: Plan, algorithm: Algorithm, folder: str, progress: LearningProgress, tell: Callable[[LearningProgress, dict[str, Any]], None]
) -> None:
    """One iteration: act and learn; evaluate, tell and save where that is due."""
    began_s, learning = time.monotonic(), plan.learning
    processes.seed_all(algorithm, plan.seed, progress.iteration)
    figures = _learner_figures(algorithm.train(), progress.iteration + 1)
    acted = processes.take_tally(algorithm)
    progress.iteration += 1
    progress.turns += acted.turns
    record: dict[str, Any] = {
        "epoch": progress.iteration,
        "turns": progress.turns,
        "learning_rate": {},
        "train": acted.figures() | figures,
        "validation": None,
        "best": False,
    }
    last = progress.turns >= learning.turns
    if last or progress.iteration % learning.evaluate_every == 0:
        record["validation"] = _evaluate(plan, algorithm, folder, progress, record)
    progress.seconds += time.monotonic() - began_s
    progress.history.append(record | {"seconds": progress.seconds})
    tell(progress, progress.history[-1])
    if _done(plan, progress) or progress.iteration % learning.save_every == 0:
        target = checkpoint.checkpoint_folder(folder, progress.iteration)
        checkpoint.save(target, algorithm, progress)
        checkpoint.prune(folder, target)
        processes.begin_anew(algorithm)


def _evaluate(plan: Plan, algorithm: Algorithm, folder: str, progress: LearningProgress, record: dict[str, Any]) -> dict[str, float]:
    """Figures of the policy as it stands; the best so far is kept."""
    policy = plan.policy_of(algorithm)
    figures = processes.evaluate(algorithm, policy, plan.learning.evaluation_episodes, plan.seed).figures()
    if progress.best is None or figures["mean_return"] > progress.best:
        progress.best, progress.best_iteration, record["best"] = figures["mean_return"], progress.iteration, True
        _keep(plan, algorithm, storage.join(folder, BEST), progress)
    if plan.learning.stop_at is not None and figures["mean_return"] >= plan.learning.stop_at:
        progress.stopped = True
    return figures


def _keep(plan: Plan, algorithm: Algorithm, folder: str, progress: LearningProgress) -> None:
    facts = {"algorithm": plan.learning.algorithm, "iteration": progress.iteration, "turns": progress.turns, "seed": plan.seed}
    card = f"# A policy that learned by {plan.learning.algorithm}\n\nAfter {progress.turns:,} turns, seed {plan.seed}.\n"
    plan.policy_of(algorithm).save_pretrained(folder, card=card, facts=facts)


def _done(plan: Plan, progress: LearningProgress) -> bool:
    return progress.stopped or progress.turns >= plan.learning.turns


def _learner_figures(result: Mapping[str, Any], iteration: int) -> dict[str, float]:
    """What the learner told of its last step. Raises RapportError when a loss is not a number."""
    told = result.get(LEARNER_RESULTS, {}).get(DEFAULT_MODULE_ID, {})
    figures = {ours: float(np.asarray(told[theirs])) for theirs, ours in _TOLD.items() if told.get(theirs) is not None}
    wrong = [f"{name} is {value}" for name, value in figures.items() if name.endswith("loss") and not math.isfinite(value)]
    if wrong:
        raise RapportError(f"iteration {iteration}: {', '.join(wrong)}; lower the algorithm's learning rates")
    return figures
