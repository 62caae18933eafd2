"""Reference policies: what they name, that they stay the same whoever is beside them, and what they do when the judge fails."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.spolacq.services import load_services
from rapport.models.spolacq.services_config import ServicesConfig
from rapport.simulator.config import SimulatorConfig
from rapport.simulator.foresight import Foresight, turn_of
from rapport.simulator.policies import POLICIES, Spoken, load_policy
from rapport.simulator.prompt import find_prompt, load_template
from rapport.simulator.requests import Failure, JudgeRequest, Result, Services, SpeechRequest
from rapport.simulator.rows import DialogueRows
from rapport.simulator.task import Task, load_task
from rapport.simulator.transition import Transition

CONFIG = SimulatorConfig(height=8, width=8)


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("cafe_corner")


@pytest.fixture(scope="module")
def template(task: Task) -> str:
    return load_template(find_prompt("cafe.txt", task.folder))


@pytest.fixture(scope="module")
def services(task: Task) -> Services:
    return load_services(ServicesConfig(ears="tone", voice="tone", pictures="flat"), task)


def begin(task: Task, services: Services, template: str, rows: int = 4, config: SimulatorConfig = CONFIG) -> DialogueRows:
    dialogues = DialogueRows(task, services, template, config, rows=rows, seed=5)
    dialogues.reset()
    return dialogues


class DeadJudge:
    version, deterministic = "dead", True

    def batch(self, requests: Sequence[JudgeRequest]) -> list[Result]:
        return [Failure("judge", "gone")] * len(requests)


class DeadVoice:
    version, deterministic = "dead", True

    def batch(self, requests: Sequence[SpeechRequest]) -> list[Result]:
        return [Failure("voice", "hoarse")] * len(requests)


def test_what_the_simple_ones_say(task: Task, services: Services, template: str) -> None:
    steps = begin(task, services, template).transitions
    names = [[name.replace("_", " ") for name in step.info["offered"]] for step in steps]
    said = {name: load_policy(name, task, services.judge, template).act(steps) for name in POLICIES}
    assert said["silence"] == [""] * 4
    assert said["rule"] == [offered[0] for offered in names]
    means = [[image.mean() for image in step.next.dialogue_scene.images] for step in steps]
    assert said["darkest"] == [offered[int(np.argmin(mean))] for offered, mean in zip(names, means, strict=True)]
    assert all(word in offered for word, offered in zip(said["random"], names, strict=True))
    # What is best for the average guest is the same for all guests.
    assert len(set(said["best_corner"])) == 1
    assert all(worst != best for worst, best in zip(said["worst"], said["oracle"], strict=True))


def test_the_utterance_can_be_chosen(task: Task, services: Services, template: str) -> None:
    steps = begin(task, services, template).transitions
    said = load_policy("rule", task, services.judge, template, pattern=1).act(steps)
    assert all(words.startswith("take me to the ") for words in said)


def test_random_does_not_depend_on_the_rows_beside_it(task: Task, services: Services, template: str) -> None:
    policy = load_policy("random", task, services.judge, template)
    wide = begin(task, services, template, rows=6)
    alone = DialogueRows(task, services, template, CONFIG, seed=5, first_row=3)
    alone.reset()
    for _ in range(6):
        said = policy.act(wide.transitions)
        assert policy.act(alone.transitions) == [said[3]]
        wide.step(said)
        alone.step([said[3]])
    assert len({tuple(policy.act([step])) for step in wide.transitions}) > 1


def test_foresight_values_corners_by_what_their_dishes_can_earn(task: Task, services: Services, template: str) -> None:
    foresight = Foresight(task, services.judge, template)
    step = begin(task, services, template, rows=1).transitions[0]
    sweet_and_large = np.array([1.0, 1.0], np.float32)
    turn = turn_of(task, replace(step, next=replace(step.next, internal_state=sweet_and_large)))
    values = dict(zip((item.name for item in turn.offer), foresight.values(turn), strict=True))
    # Dishes of the bakery earn 0.5, 0.6, 0.8 and 0.9 here; the best of two of them is the mean over six offers.
    assert values["bakery_corner"] == pytest.approx((0.6 + 0.8 + 0.9 + 0.8 + 0.9 + 0.9) / 6, abs=1e-6)
    anyhow = dict(zip((item.name for item in turn.offer), foresight.values(turn, "random"), strict=True))
    assert anyhow["bakery_corner"] == pytest.approx((0.5 + 0.6 + 0.8 + 0.9) / 4, abs=1e-6)
    assert values["kitchen_corner"] < values["bakery_corner"]


def test_foresight_ends_where_the_episode_or_its_horizon_ends(task: Task, services: Services, template: str) -> None:
    turn = turn_of(task, begin(task, services, template, rows=1).transitions[0])
    assert Foresight(task, services.judge, template, horizon=1).values(turn) == [0.0, 0.0]
    assert Foresight(replace(task, max_step=1), services.judge, template).values(turn) == [0.0, 0.0]
    whole = Foresight(task, services.judge, template, offer_size=4).values(turn)
    assert all(more >= less for more, less in zip(whole, Foresight(task, services.judge, template).values(turn), strict=True))


def test_looking_ahead_leaves_the_global_dice_alone(task: Task, services: Services, template: str) -> None:
    steps = begin(task, services, template).transitions
    np.random.seed(3)
    wanted = np.random.rand()
    np.random.seed(3)
    for name in ("oracle", "best_corner"):
        load_policy(name, task, services.judge, template).act(steps)
    assert np.random.rand() == wanted


def test_rows_that_are_over_and_scenes_without_items(task: Task, services: Services, template: str) -> None:
    rows = begin(task, services, template)
    policy = load_policy("oracle", task, services.judge, template)
    for _ in range(2):
        steps = rows.step(policy.act(rows.transitions))
    assert all(step.terminated for step in steps)
    assert policy.act(steps) == [""] * 4
    nothing = replace(steps[0], terminated=False)
    assert policy.act([nothing]) == [""]


def test_the_same_aloud(task: Task, services: Services, template: str) -> None:
    def play(spoken: bool) -> list[list[Transition]]:
        policy = load_policy("oracle", task, services.judge, template)
        aloud = Spoken(policy, services.voice, "af_heart", CONFIG.sampling_rate_hz)
        rows = begin(task, services, template)
        return [list(rows.step((aloud if spoken else policy).act(rows.transitions))) for _ in range(5)]

    for text, speech in zip(play(False), play(True), strict=True):
        assert [step.reward for step in text] == [step.reward for step in speech]
        assert [step.info.get("transcript") for step in text] == [step.info.get("transcript") for step in speech]


def test_silence_aloud_is_heard_as_nothing(task: Task, services: Services, template: str) -> None:
    rows = begin(task, services, template)
    aloud = Spoken(load_policy("silence", task, services.judge, template), services.voice, "af_heart", CONFIG.sampling_rate_hz)
    assert all(step.info["silent"] for step in rows.step(aloud.act(rows.transitions)))


def test_services_that_fail_are_told_of(task: Task, services: Services, template: str) -> None:
    steps = begin(task, services, template).transitions
    with pytest.raises(RapportError, match=r"judge could not tell .*: gone"):
        load_policy("oracle", task, DeadJudge(), template).act(steps)
    with pytest.raises(RapportError, match=r"could not say .*hoarse"):
        Spoken(load_policy("rule", task, services.judge, template), DeadVoice(), "af_heart", 22_050).act(steps)
    with pytest.raises(RapportError, match="wanted one of silence, random"):
        load_policy("genius", task, services.judge, template)
