"""A project in the published layout, run as its own `main.py` would: its agent is made, pretrained and trained in its task.

    folder = run_experiment("../project", "food_task.yaml", lambda task: load_services(config, task), image_paths, audio_paths)

The project's Python files are run as they are, in one process and one dialogue at a time. What the services are and where pictures and
clips come from is the caller's: the experiment's models are not loaded from here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rapport.simulator.agent_folder import load_agent
from rapport.simulator.agents import AudioPaths, ImagePaths
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.env import open_env
from rapport.simulator.experiment import Experiment, load_experiment
from rapport.simulator.prompt import find_prompt, load_template
from rapport.simulator.published_logs import LogRecorder
from rapport.simulator.recorder import recorded
from rapport.simulator.requests import Services
from rapport.simulator.task import Task, load_task

PUBLISHED_SEED = 1234


def simulator_config(experiment: Experiment) -> SimulatorConfig:
    """The settings of training dialogues that an experiment's `base` and `rl.env` stand for."""
    env = experiment.rl.env
    pictures = env.generative_models.image_generator
    return SimulatorConfig(
        audio=env.enable_audio_response,
        sampling_rate_hz=experiment.base.sampling_rate,
        images_per_item=max(env.num_images_per_item, 0),
        height=pictures.height,
        width=pictures.width,
    )


def run_experiment(
    project: str | Path,
    experiment_name: str,
    services: Callable[[Task], Services],
    image_paths: ImagePaths,
    audio_paths: AudioPaths,
    *,
    seed: int = PUBLISHED_SEED,
    strict: bool = True,
) -> Path:
    """Pretrain and train the agent of `experiments/<experiment_name>`; the folder that it was given for its outputs.

    Dialogues that the experiment wants recorded are, below `data/<task>/<run>/rl` as published, when they are over.
    Test dialogues take their pictures from a pool of their own, and neither they nor training dialogues change the other's. Raises
    what `load_experiment`, `load_task` and `load_agent` raise, before anything is trained.
    """
    root = Path(project).expanduser().resolve()
    experiment = load_experiment(root / "experiments" / experiment_name, strict=strict)
    base = experiment.base
    task = load_task(root / "tasks" / base.task_name, strict=strict)
    template = load_template(find_prompt(experiment.rl.env.llm_prompt_name, task.folder))
    pretrain_config, base_config, rl = (_section(experiment, name) for name in ("pretrain", "base", "rl"))
    agent_dir = root / "agents" / base.agent_name
    agent, trainer = load_agent(agent_dir, pretrain_config, strict=strict)
    answers = services(task)
    config = simulator_config(experiment)
    test = config.model_copy(update={"mode": "test"})
    envs = [open_env(task, answers, template, c, seed=seed, worker=worker) for worker, c in enumerate((config, test))]

    output = _output_folder(agent_dir / base.task_name, base.dir_id)
    logs = str(root / "data" / base.task_name / output.name / "rl")
    kept = (experiment.rl.env.record_train_env, experiment.rl.env.record_eval_env)
    for place, (keep, mode) in enumerate(zip(kept, ("train", "test"), strict=True)):
        if keep:
            envs[place] = recorded(envs[place], LogRecorder(logs, task, mode=mode, rate_hz=config.sampling_rate_hz))
    folders = {"agent_dir": str(agent_dir), "agent_experiment_dir": str(output)}
    # By position and by keyword as published: the parameters before the two folders may bear other names.
    pretrain: Callable[..., dict[str, Any]] = trainer.pretrain
    train_rl: Callable[..., None] = trainer.train_rl
    learnt = pretrain(agent, image_paths, audio_paths, base_config, pretrain_config, **folders)
    try:
        train_rl(agent, *envs, base_config, rl.get("env", {}), rl.get("agent", {}), learnt, **folders)
    finally:
        for env in envs:
            env.close()
    return output


def _section(experiment: Experiment, name: str) -> dict[str, Any]:
    """A section as it was written, which is what trainers read."""
    return experiment.raw.get(name, {})


def _output_folder(parent: Path, dir_id: str | None) -> Path:
    """The run's own folder: as named, else the next number of five digits."""
    if dir_id is None:
        taken = [int(p.name) for p in parent.glob("[0-9]" * 5) if p.is_dir()]
        dir_id = f"{max(taken, default=0) + 1:05}"
    folder = parent / dir_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder
