"""The world an agent learns in: task, services, simulator and the agent's body, from settings that travel to every process."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from rapport.core import storage
from rapport.core.config import Config
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.simulator.config import AgentEnvConfig, SimulatorConfig

if TYPE_CHECKING:
    from rapport.models.spolacq.body import SpolacqBody
    from rapport.simulator.agent_env import AgentVectorEnv
    from rapport.simulator.requests import Services
    from rapport.simulator.task import Task

WORLD = "world.json"


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


def open_environment(
    world: AgentWorld,
    sessions: int,
    *,
    mode: Literal["train", "test"] = "train",
    actions: Literal["factored", "box", "feature"] = "factored",
    seed: int = 0,
    worker: int = 0,
    reseeds: bool = True,
) -> "AgentVectorEnv":
    """That many dialogues of the agent. Environments of one world in one process share its services and body.

    Raises RapportError for a world that cannot be opened.
    """
    from rapport.simulator.agent_env import AgentVectorEnv

    task, services, template, body = _opened(world.model_dump_json())
    simulator = world.simulator.model_copy(update={"mode": mode, "sampling_rate_hz": body.rate_hz})
    agent = world.agent.model_copy(update={"actions": actions})
    return AgentVectorEnv(task, services, template, body, simulator, agent, num_envs=sessions, seed=seed, worker=worker, reseeds=reseeds)


def save_world(folder: str, world: AgentWorld) -> None:
    """Write it beside a model."""
    storage.write_json(storage.join(folder, WORLD), world.model_dump(mode="json"))


def load_world(folder: str) -> AgentWorld:
    """The world that a model learned in, its body being that in the same folder."""
    world = AgentWorld.model_validate(storage.read_json(storage.join(folder, WORLD)))
    return world.model_copy(update={"body": storage.join(folder, "body")})


@lru_cache(maxsize=2)
def _opened(world: str) -> "tuple[Task, Services, str, SpolacqBody]":
    from rapport.models.spolacq.body import SpolacqBody
    from rapport.models.spolacq.services import load_services
    from rapport.simulator.prompt import load_template
    from rapport.simulator.shipped import TASKS
    from rapport.simulator.task import load_task

    config = AgentWorld.model_validate_json(world)
    task = load_task(config.task, strict=config.strict)
    template = load_template(config.prompt or TASKS / "prompts" / "cafe.txt")
    return task, load_services(config.services, task), template, SpolacqBody.from_pretrained(config.body)


def as_settings(world: AgentWorld) -> dict[str, Any]:
    """For an environment creator, which is given plain values."""
    return {"world": world.model_dump(mode="json")}
