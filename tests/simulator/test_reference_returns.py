"""What reference policies earn when they are always understood: the published figures, and those that our tasks state of themselves."""

import math
from pathlib import Path

import numpy as np
import pytest

from rapport.models.spolacq.services import load_services
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.foresight import Foresight
from rapport.simulator.policies import (
    POLICIES,
    Choice,
    Policy,
    ReferencePolicy,
    at_random,
    by_value,
    in_turn,
    load_policy,
)
from rapport.simulator.prompt import find_prompt, load_template
from rapport.simulator.requests import Services
from rapport.simulator.rows import DialogueRows
from rapport.simulator.task import Task, load_task
from tests.simulator.published import load_published

ROWS = 500
SMALL = SimulatorConfig(height=8, width=8)


def fakes(task: Task, pictures: str = "flat") -> Services:
    """Drawn or flat pictures, the rule judge, tones for speech."""
    return load_services(ServicesConfig(ears="tone", voice="tone", pictures=pictures), task)


def mean_return(
    task: Task, services: Services, template: str, policy: Policy[str], episodes: int, config: SimulatorConfig = SMALL
) -> float:
    """Over the first episodes of every row."""
    rows = DialogueRows(task, services, template, config, rows=ROWS, seed=0)
    totals: list[float] = []
    current = np.zeros(ROWS)
    steps = rows.reset()
    while len(totals) < episodes:
        steps = rows.step(policy.act(steps))
        current += [step.reward for step in steps]
        for row in np.flatnonzero(rows.over):
            totals.append(float(current[row]))
            current[row] = 0.0
    return math.fsum(totals[:episodes]) / episodes


@pytest.fixture(scope="module")
def template(shared_data: Path) -> str:
    return load_template(shared_data / "spolacq" / "env" / "prompts" / "food_task.txt")


@pytest.mark.parametrize(
    ("name", "wanted", "episodes"), [("random", 0.5, 20_000), ("oracle", 1.0, 1_000), ("silence", 0.0, 1_000), ("worst", 0.0, 1_000)]
)
def test_food_task(shared_data: Path, template: str, name: str, wanted: float, episodes: int) -> None:
    task = load_published(shared_data, "food_task")
    services = fakes(task)
    policy = load_policy(name, task, services.judge, template)
    assert mean_return(task, services, template, policy, episodes) == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize(("pictures", "least", "most"), [("procedural", 0.75, 0.95), ("procedural:balanced", 0.4, 0.6)])
def test_the_darker_picture_wins_on_white_but_not_on_balanced_backgrounds(
    shared_data: Path, template: str, pictures: str, least: float, most: float
) -> None:
    task = load_published(shared_data, "food_task")
    services = fakes(task, pictures)
    policy = load_policy("darkest", task, services.judge, template)
    config = SimulatorConfig(height=24, width=24, images_per_item=4)
    assert least < mean_return(task, services, template, policy, 2_000, config) < most


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("worst dish in any corner", 0.573),
        ("any dish in any corner", 0.658),
        ("best dish in any corner", 0.743),
        ("any dish in the best corner", 0.749),
        ("best dish in the best corner", 0.835),
    ],
)
def test_food_corner_task(shared_data: Path, template: str, name: str, wanted: float) -> None:
    task = load_published(shared_data, "food_corner_task")
    services = fakes(task)
    foresight = Foresight(task, services.judge, template)
    choices: dict[str, Choice] = {
        "worst dish in any corner": in_turn(at_random, by_value(foresight, best=False)),
        "any dish in any corner": at_random,
        "best dish in any corner": in_turn(at_random, by_value(foresight)),
        "any dish in the best corner": in_turn(by_value(foresight, later="random"), at_random),
        "best dish in the best corner": by_value(foresight),
    }
    policy = ReferencePolicy(task, choices[name])
    assert mean_return(task, services, template, policy, 5_000) == pytest.approx(wanted, abs=0.01)


def test_the_best_corner_for_everybody_is_worse_than_choosing(shared_data: Path, template: str) -> None:
    task = load_published(shared_data, "food_corner_task")
    services = fakes(task)
    foresight = Foresight(task, services.judge, template)
    averages = foresight.average_values()
    assert averages[1] == pytest.approx(0.757, abs=0.01)  # always Japanese
    assert (averages[1] + averages[2]) / 2 == pytest.approx(0.743, abs=0.01)
    policy = load_policy("best_corner", task, services.judge, template)
    assert mean_return(task, services, template, policy, 6_000) == pytest.approx(0.757, abs=0.01)


@pytest.mark.parametrize(("name", "wanted"), [("random", 0.558), ("best_corner", 0.594), ("oracle", 0.705), ("silence", 0.0)])
def test_cafe(name: str, wanted: float) -> None:
    task = load_task("cafe")
    template = load_template(find_prompt("cafe.txt", task.folder))
    services = fakes(task)
    policy = load_policy(name, task, services.judge, template)
    assert mean_return(task, services, template, policy, 5_000) == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("random", 0.596), ("best_corner", 0.685), ("any dish in the best corner", 0.738), ("oracle", 0.827), ("silence", 0.0)],
)
def test_cafe_corner(name: str, wanted: float) -> None:
    task = load_task("cafe_corner")
    template = load_template(find_prompt("cafe.txt", task.folder))
    services = fakes(task)
    if name in POLICIES:
        policy = load_policy(name, task, services.judge, template)
    else:
        policy = ReferencePolicy(task, in_turn(by_value(Foresight(task, services.judge, template), later="random"), at_random))
    assert mean_return(task, services, template, policy, 3_000) == pytest.approx(wanted, abs=0.01)
