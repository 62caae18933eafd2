"""Agents for tests of their evaluation: one in memory that names pictures by their colours, and one on disk whose speech is noise."""

from pathlib import Path
from typing import Any

import torch

from rapport.core import storage
from rapport.models.spolacq.policy import AgentPolicy, Layout
from rapport.models.spolacq.policy_config import PolicyConfig
from rapport.models.spolacq.services_config import CacheConfig, ServicesConfig
from rapport.ray_jobs.agent_evaluation.offline import EpisodeKeeper
from rapport.ray_jobs.agent_evaluation.playing import AgentPlayer
from rapport.ray_jobs.agent_evaluation.speech_free import InWords
from rapport.ray_jobs.agent_training.run_folder import BODY, POLICY, agent_folder
from rapport.ray_jobs.agent_training.world import AgentWorld, save_world
from rapport.simulator.agent_env import AgentVectorEnv
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.requests import PictureRequest, Services
from rapport.simulator.task import Task
from tests.models.spolacq import tiny
from tests.simulator.toy_dialogue import TEMPLATE, ToyBody

N, F, Z = 2, 3, 2
"""Numbers of the shipped tasks' states, and the widths of `ToyBody`."""


def toy_policy(seed: int = 0, features: int = F, sentence: int = Z) -> AgentPolicy:
    """An actor that has learned nothing."""
    torch.manual_seed(seed)
    return AgentPolicy(Layout(N, features, sentence), PolicyConfig(state_width=4, picture_width=4, head_width=6)).eval()


def toy_body(task: Task, services: Services) -> ToyBody:
    """It knows the items of the task by the colours of their test pictures."""
    items = list(task.scenario.items.values())
    pictures = services.pictures.batch([PictureRequest(i.id, i.name, i.prompt, "test", 0, 0, 64, 64) for i in items])
    return ToyBody({item.name: picture for item, picture in zip(items, pictures, strict=True)})  # type: ignore[misc]


def toy_player(
    task: Task, services: Services, rows: int = 3, *, words: bool = False, keeper: EpisodeKeeper | None = None, seed: int = 0
) -> AgentPlayer:
    """The agent in memory, which speaks in the tone code, or in words."""
    body: Any = InWords(toy_body(task, services)) if words else toy_body(task, services)
    env = AgentVectorEnv(task, services, TEMPLATE, body, SimulatorConfig(mode="test", images_per_item=1), num_envs=rows)
    return AgentPlayer(env, toy_policy(seed), task, body, keeper)


def save_toy_agent(root: Path, name: str = "toy", task: str = "cafe_corner", held_out: tuple[str, ...] = ()) -> Path:
    """An agent as `train_agent` leaves it, untrained, below a storage root."""
    body = tiny.untrained_body()
    folder = Path(agent_folder(str(root), name))
    body.save_pretrained(folder / BODY)
    toy_policy(0, body.feature_width, body.sentence_width).save_pretrained(folder / POLICY, card="# A policy\n")
    services = ServicesConfig(ears="pocketsphinx", pictures="flat", cache=CacheConfig(folder=""))
    save_world(str(folder), AgentWorld(task=task, services=services, body=str(folder / BODY)))
    run = root / "runs" / "train_agent" / name
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(f"body_from: ''\ndata: {{held_out: {{items: [{', '.join(held_out)}], patterns: [3]}}}}\n")
    storage.write_json(folder / "metrics.json", {"folder": str(run), "algorithm": "ppo", "turns": 0})
    return folder


def turn(**values: Any) -> dict[str, Any]:
    """A turn of a recording in which tea was meant, heard and given."""
    usual: dict[str, Any] = {
        "episode": "0-0-0-0",
        "number": 0,
        "turn": 1,
        "scene_id": 0,
        "next_scene_id": 1,
        "scene_name": "Counter",
        "offered": ["green_tea", "mocha"],
        "pictures": [],
        "chosen": 0,
        "chosen_name": "green_tea",
        "best": ["green_tea"],
        "transcript": "one green tea please",
        "item_name": "green_tea",
        "item_id": 1,
        "reward": 0.5,
        "silent": False,
        "clipped": 0,
        "problem": "",
        "failed": "",
        "terminated": True,
        "truncated": False,
        **dict.fromkeys(("judge_s", "ears_s", "voice_s", "pictures_s", "said_s"), 0.01),
    }
    return usual | values
