"""The world an agent learns in: task, services, simulator and the agent's body, from settings that travel to every process."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rapport.core import storage
from rapport.core.config import Config
from rapport.core.errors import RapportError
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.ray_jobs.agent_training.run_folder import BODY
from rapport.simulator.config import AgentEnvConfig, SimulatorConfig
from rapport.simulator.requests import Failure, PictureRequest, Services
from rapport.simulator.shipped import TASKS

if TYPE_CHECKING:
    from rapport.models.spolacq.body import SpolacqBody
    from rapport.ray_jobs.agent_services.hosts import ServicePlace
    from rapport.simulator.agent_env import AgentVectorEnv
    from rapport.simulator.task import Task

WORLD = "world.json"
TEMPLATE_DEFAULT = TASKS / "prompts" / "cafe.txt"
"""The judge's prompt, unless another is named."""
_UNPOOLED = 8
"""Pictures of each item that stand for all, where every picture is a new one."""


class AgentWorld(Config):
    """Where an agent acts."""

    task: str
    """Name of a shipped task, or a folder."""
    strict: bool = True
    """Check the task's files; false lets pass what the published simulator does."""
    prompt: str = ""
    """The judge's prompt file; the shipped one unless given."""
    services: ServicesConfig = ServicesConfig()
    """The counterpart."""
    simulator: SimulatorConfig = SimulatorConfig()
    """How dialogues are held."""
    agent: AgentEnvConfig = AgentEnvConfig()
    """How the body is joined to them."""
    body: str
    """Folder of the body."""


@dataclass(frozen=True, slots=True)
class OpenedWorld:
    """A world in this process."""

    task: "Task"
    services: Services
    template: str
    body: "SpolacqBody"


_OPENED: dict[str, OpenedWorld] = {}
"""The world that was opened last: a process lives in one."""


def open_environment(
    world: AgentWorld,
    sessions: int,
    *,
    place: "ServicePlace | None" = None,
    mode: Literal["train", "test"] = "train",
    actions: Literal["factored", "box", "feature"] = "factored",
    seed: int = 0,
    worker: int = 0,
    reseeds: bool = True,
) -> "AgentVectorEnv":
    """That many dialogues of the agent, with the services of a place, or with their own in this process.

    Environments of one world and place in one process share services and body. Raises RapportError for a world that cannot be opened.
    """
    from rapport.simulator.agent_env import AgentVectorEnv

    opened = open_world(world, place)
    simulator = world.simulator.model_copy(update={"mode": mode, "sampling_rate_hz": opened.body.rate_hz})
    agent = world.agent.model_copy(update={"actions": actions})
    return AgentVectorEnv(
        opened.task,
        opened.services,
        opened.template,
        opened.body,
        simulator,
        agent,
        num_envs=sessions,
        seed=seed,
        worker=worker,
        reseeds=reseeds,
    )


def open_world(world: AgentWorld, place: "ServicePlace | None" = None) -> OpenedWorld:
    """What a world is made of, opened once in a process. Raises RapportError for a world that cannot be opened."""
    key = world.model_dump_json() + (place.group if place else "")
    if key not in _OPENED:
        _OPENED.clear()
        _OPENED[key] = _open(world, place)
    return _OPENED[key]


def feature_scale(world: AgentWorld, place: "ServicePlace | None" = None) -> np.ndarray:
    """Features [M, F] of the pictures that an agent learns from, by which they are brought to a common scale.

    Draws every picture of the training pool, which a generator had better do before the dialogues ask for them one by one.
    """
    opened, simulator = open_world(world, place), world.simulator
    size = simulator.height, simulator.width
    requests = [
        PictureRequest(item.id, item.name, item.prompt, "train", index, simulator.picture_seed, *size)
        for item in opened.task.scenario.items.values()
        for index in range(simulator.images_per_item or _UNPOOLED)
    ]
    pictures = opened.services.pictures.batch(requests)
    return opened.body.see([picture for picture in pictures if not isinstance(picture, Failure | str)])


def save_world(folder: str, world: AgentWorld) -> None:
    """Write it beside an agent, whose body lies there too."""
    storage.write_json(storage.join(folder, WORLD), world.model_dump(mode="json", exclude={"body"}))


def load_world(folder: str) -> AgentWorld:
    """The world that an agent learned in. Raises RapportError when the folder holds no finished agent."""
    path = storage.join(folder, WORLD)
    if not storage.exists(path):
        raise RapportError(f"{folder} holds no finished agent: wanted {WORLD} in it; train one with train_agent")
    return AgentWorld.model_validate(storage.read_json(path) | {"body": storage.join(folder, BODY)})


def _open(world: AgentWorld, place: "ServicePlace | None") -> OpenedWorld:
    from rapport.models.spolacq.body import SpolacqBody
    from rapport.models.spolacq.services import load_services
    from rapport.simulator.prompt import load_template
    from rapport.simulator.task import load_task

    task = load_task(world.task, strict=world.strict)
    template = load_template(world.prompt or TEMPLATE_DEFAULT)
    services = place.open() if place else load_services(world.services, task)
    return OpenedWorld(task, services, template, SpolacqBody.from_pretrained(world.body))
