"""A session holds a dialogue turn by turn as published, asks for nothing that is not used, and outlives the services' failures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rapport.simulator.config import SimulatorConfig
from rapport.simulator.requests import Failure, HearingRequest, JudgeRequest, PictureRequest, Request, Services, SpeechRequest, ask
from rapport.simulator.rules import TaskFunctionError
from rapport.simulator.seeding import EpisodeSeed
from rapport.simulator.session import DialogueSession
from rapport.simulator.task import Task, load_task
from rapport.simulator.task_functions import TaskFunctions
from rapport.simulator.transition import Action
from rapport.simulator.utterance import ActionError
from tests.simulator.published import load_published
from tests.simulator.toy_dialogue import TEMPLATE, TOY_FUNCTIONS, Answers, counts, reply, speech, toy_services, toy_task

SEED = EpisodeSeed(3, 0, 0, 0)
WORDS = np.full(100, 0.1, np.float32)
PICTURE = np.zeros((64, 64, 3), np.uint8)


def answers(requests: list[Request], judged: str = "{}") -> list[Any]:
    """By hand: a fresh picture each, nothing heard."""
    by_kind = {PictureRequest: lambda: PICTURE.copy(), HearingRequest: lambda: "", JudgeRequest: lambda: judged, SpeechRequest: WORDS.copy}
    return [by_kind[type(request)]() for request in requests]


def session(task: Task | None = None, seed: EpisodeSeed = SEED, **config: Any) -> DialogueSession:
    """A session whose episode has begun."""
    begun = DialogueSession(task or toy_task(), TEMPLATE, SimulatorConfig(**config))
    requests = begun.begin(seed)
    while requests:
        requests = begun.feed(answers(requests))
    return begun


def turn(held: DialogueSession, judged: str, action: Action = WORDS) -> Any:
    requests = held.act(action)
    while requests:
        requests = held.feed(answers(requests, judged))
    return held.step


def run(held: DialogueSession, services: Services, requests: list[Request]) -> Any:
    while requests:
        requests = held.feed(ask(services, requests))
    return held.step


def names(requests: list[Request]) -> list[str]:
    return [type(request).__name__ for request in requests]


def test_an_episode_begins_in_the_initial_scene_with_a_drawn_offer() -> None:
    step = session().step
    assert step.previous is None
    assert step.next.dialogue_feedback is None
    assert (step.reward, step.terminated, step.truncated) == (0.0, False, False)
    assert step.next.dialogue_scene.scene_id == 0
    assert len(set(step.info["offered"])) == 2
    assert step.info["seed"] == "3-0-0-0"


def test_offers_are_drawn_uniformly_in_either_order() -> None:
    offers = [session(seed=EpisodeSeed(0, 0, 0, episode)).step.info["offered"] for episode in range(600)]
    assert len(set(offers)) == 30
    first = [offer[0] for offer in offers]
    assert min(first.count(name) for name in set(first)) > 60


@pytest.mark.parametrize(("size", "shown"), [(1, 1), (2, 2), (6, 6), (7, 6)])
def test_the_offer_has_the_size_that_is_set(size: int, shown: int) -> None:
    assert len(session(offer_size=size).step.info["offered"]) == shown
    assert len(session(toy_task(offer_size=size)).step.info["offered"]) == shown


def test_an_item_and_a_move_do_not_depend_on_each_other() -> None:
    held = session()
    wanted = held.step.info["offered"][1]
    illegal = turn(held, reply(scene=7, item=wanted))
    assert (illegal.info["item_name"], illegal.info["next_scene_id"]) == (wanted, 0)
    assert "next_scene_id 7 cannot follow scene 0" in illegal.info["problem"]
    held = session()
    absent = turn(held, reply(scene=2, item="unicorn"))
    assert (absent.info["item_name"], absent.info["item_id"], absent.info["next_scene_id"]) == ("", -1, 2)
    assert absent.next.dialogue_feedback is not None
    assert absent.next.dialogue_feedback.selected_item is None
    assert "'unicorn' is not on offer" in absent.info["problem"]


def test_the_item_handed_over_is_the_very_one_that_was_shown() -> None:
    held = session(offer_size=6)
    before = held.step
    step = turn(held, reply(item="red hat"))
    given = step.next.dialogue_feedback.selected_item
    place = before.info["offered"].index("Red_Hat")
    assert given.image is before.next.dialogue_scene.images[place]
    assert given.image is not step.next.dialogue_scene.images[place]
    assert given.attributes["worth"] == given.id == step.info["item_id"]


def test_a_fresh_offer_is_drawn_after_staying() -> None:
    changed = 0
    for episode in range(20):
        held = session(seed=EpisodeSeed(0, 0, 0, episode))
        before = held.step.info["offered"]
        step = turn(held, reply())
        assert (step.info["scene_id"], step.info["next_scene_id"]) == (0, 0)
        changed += step.info["offered"] != before
    assert changed > 15


def test_the_reward_sees_the_internal_state_before_and_after_the_update() -> None:
    seen: list[np.ndarray] = []

    def update(state: np.ndarray, feedback: Any) -> np.ndarray:
        state += 1  # in place, as careless task code does
        return state

    def reward(before: Any, waveform: np.ndarray, after: Any) -> float:
        seen.extend((before.internal_state.copy(), after.internal_state.copy()))
        return 0.5

    step = turn(session(toy_task(replace(TOY_FUNCTIONS, next_internal_state=update, reward=reward))), reply())
    assert np.allclose(seen[1], seen[0] + 1)
    assert step.reward == 0.5
    assert np.array_equal(step.previous.internal_state, seen[0])


def test_the_reply_is_spoken_by_the_scene_that_was_left() -> None:
    held = session(audio=True)
    requests = held.act(WORDS)
    requests = held.feed(["to the street"])
    requests = held.feed([reply("bye", scene=1)])
    assert [(r.text, r.voice) for r in requests if isinstance(r, SpeechRequest)] == [("bye", "old")]
    requests = held.feed([reply("hello there"), np.full(5, 0.2, np.float32)])
    assert [(r.text, r.voice) for r in requests if isinstance(r, SpeechRequest)] == [("hello there", "new")]
    assert held.feed([np.full(7, 0.3, np.float32)]) == []
    step: Any = held.step
    assert step.next.dialogue_feedback.response_waveform.shape == (5,)
    assert step.next.dialogue_scene.prompt_waveform.shape == (7,)
    assert step.info["opening"] == "hello there"


def test_without_audio_the_counterpart_is_a_second_of_silence() -> None:
    step = turn(session(sampling_rate_hz=8_000), reply("hi"))
    for waveform in (step.next.dialogue_feedback.response_waveform, step.next.dialogue_scene.prompt_waveform):
        assert waveform.shape == (8_000,)
        assert not waveform.any()


def test_the_judge_is_asked_about_the_scene_and_offer_of_the_turn() -> None:
    held = session()
    offered = held.step.info["offered"]
    held.act(WORDS)
    [request] = held.feed([" The cup "])
    assert isinstance(request, JudgeRequest)
    assert request.offered == offered
    assert request.heard == "The cup"
    assert request.moves == ((0, "Shop"), (1, "Street"), (2, "Yard"))
    assert all(f"- {name}\n" in request.prompt for name in offered)


@pytest.mark.parametrize(
    ("lenient", "scene", "after"), [(False, "1", 0), (True, "1", 1), (True, "street", 0), (False, 1, 1), (False, True, 0)]
)
def test_a_scene_id_in_quotes_is_refused_unless_lenient(lenient: bool, scene: Any, after: int) -> None:
    assert turn(session(lenient_scene_ids=lenient), reply(scene=scene)).info["next_scene_id"] == after


@pytest.mark.parametrize(
    "judged",
    [
        "I would rather not say.",
        "[1, 2]",
        '{"response_text": "well", "next_scene_id": 1, "item_na',
        json.dumps({"response_text": 4, "next_scene_id": [1], "item_name": {"name": "cup"}}),
        "",
    ],
)
def test_a_malformed_verdict_changes_nothing_and_is_told(judged: str) -> None:
    step = turn(session(), judged)
    assert (step.info["next_scene_id"], step.info["item_id"]) == (0, -1)
    assert step.info["problem"]
    assert step.info["verdict"] == judged
    assert step.info["reply"] == "How may I help you?"
    assert not step.over


def test_prose_around_a_verdict_is_let_pass() -> None:
    assert turn(session(), f"Certainly! {reply(scene=1)} Anything else?").info["next_scene_id"] == 1


def test_text_is_heard_without_ears_and_silence_as_nothing() -> None:
    held = session()
    assert names(held.act("the cup")) == ["JudgeRequest"]
    held = session()
    [request] = held.act(np.zeros(100, np.float32))
    assert isinstance(request, JudgeRequest)
    assert request.heard == ""
    assert names(session(faithful=True).act(np.zeros(100, np.float32))) == ["HearingRequest"]


def test_silent_and_clipped_speech_is_told() -> None:
    assert turn(session(), reply(), np.zeros(10, np.float32)).info["silent"]
    held = session()
    loud = np.array([3.0, -2.0, 0.5], np.float32)
    [request] = held.act(loud)
    assert isinstance(request, HearingRequest)
    assert np.abs(request.waveform).max() == 1
    step = turn(held, reply(), loud)
    assert (step.info["clipped"], step.info["silent"]) == (2, False)
    assert np.array_equal(step.action, loud)


@pytest.mark.parametrize("action", [[0.1], np.zeros((1, 9), np.float32), np.zeros(0, np.float32), np.full(9, np.nan, np.float32)])
def test_an_action_that_is_not_speech_changes_nothing(action: Any) -> None:
    held = session()
    before = held.step
    with pytest.raises(ActionError):
        held.act(action)
    assert held.step is before
    assert turn(held, reply(scene=1)).terminated


@pytest.mark.parametrize(("audio", "faithful"), [(False, True), (True, True), (True, False), (False, False)])
def test_calls_of_an_episode(audio: bool, faithful: bool) -> None:
    task = load_task("cafe_corner")
    services = toy_services(task)
    held = DialogueSession(task, TEMPLATE, SimulatorConfig(audio=audio, faithful=faithful))
    run(held, services, held.begin(SEED))
    n = 0
    while not held.step.over:
        n += 1
        run(held, services, held.act(speech(held.step.info["offered"][0].replace("_", " "))))
    assert n == 2
    spoken = 1 + 2 * n if audio else 0
    judged = 1 + 2 * n if audio or faithful else n
    made = counts(services)
    assert (made["judge"], made["ears"], made["voice"]) == (judged, n, spoken)
    assert held.step.terminated
    assert held.step.reward > 0


def test_faithful_and_lazy_dialogues_come_to_the_same() -> None:
    task = load_task("cafe_corner")
    ends = []
    for faithful in (False, True):
        services = toy_services(task, otherwise="stay")
        held = DialogueSession(task, TEMPLATE, SimulatorConfig(faithful=faithful))
        run(held, services, held.begin(SEED))
        first = run(held, services, held.act(np.zeros(9, np.float32)))
        second = run(held, services, held.act(speech(first.info["offered"][1].replace("_", " "))))
        ends.append((first.info["offered"], second.info["item_name"], second.info["offered"], second.next.internal_state.tolist()))
    assert ends[0] == ends[1]


def test_food_task_is_one_turn_and_food_corner_task_at_most_two(shared_data: Path) -> None:
    for name, longest in (("food_task", 1), ("food_corner_task", 2)):
        task = load_published(shared_data, name)
        services = toy_services(task, otherwise="stay")
        lengths = set()
        for episode in range(12):
            held = DialogueSession(task, TEMPLATE, SimulatorConfig())
            run(held, services, held.begin(EpisodeSeed(0, 0, 0, episode)))
            length = 0
            while not held.step.over:
                offered = held.step.info["offered"]
                words = (offered[episode % 2], "", "nonsense")[episode % 3]
                run(held, services, held.act(words.replace("_", " ")))
                length += 1
            lengths.add(length)
        assert max(lengths) == longest
        assert lengths == ({1} if name == "food_task" else {2})


def test_an_episode_is_broken_off_after_the_tasks_last_turn() -> None:
    held = session(toy_task(max_step=2))
    assert not turn(held, reply()).over
    last = turn(held, reply())
    assert (last.terminated, last.truncated, last.info["talk_step"]) == (False, True, 2)


def test_missing_functions_do_as_published() -> None:
    held = session(toy_task(TaskFunctions(), max_step=3))
    first = held.step.next.internal_state
    assert first.shape == (3,)
    assert first.dtype == np.float32
    assert np.array_equal(held.step.observation["internal_state"], first)
    step = turn(held, reply(scene=1, item=held.step.info["offered"][0]))
    assert (step.reward, step.terminated, step.truncated) == (0.0, False, False)
    assert np.array_equal(step.next.internal_state, first)


@pytest.mark.parametrize("value", ["much", None, float("nan"), float("inf")])
def test_a_reward_that_is_no_number_names_its_function(value: Any) -> None:
    held = session(toy_task(replace(TOY_FUNCTIONS, reward=lambda before, waveform, after: value)))
    with pytest.raises(TaskFunctionError, match="task toy: reward_function returned"):
        turn(held, reply())


@pytest.mark.parametrize("stage", ["ears", "judge"])
def test_a_turn_that_cannot_be_heard_or_judged_ends_the_episode_unrewarded(stage: str) -> None:
    task = toy_task(replace(TOY_FUNCTIONS, reward=lambda before, waveform, after: 1.0))
    held = session(task)
    before = held.step.next
    held.act(WORDS)
    if stage == "judge":
        held.feed(["cup"])
    assert held.feed([Failure(stage, "it died")]) == []
    step: Any = held.step
    assert (step.reward, step.terminated, step.truncated) == (0.0, False, True)
    assert step.info["failed"] == f"{stage}: it died"
    assert step.next.dialogue_scene is before.dialogue_scene
    assert step.next.dialogue_feedback.selected_item is None


def test_a_lost_voice_is_silence_and_the_dialogue_goes_on() -> None:
    held = session(audio=True)
    held.act(WORDS)
    held.feed(["cup"])
    requests = held.feed([reply("bye")])
    requests = held.feed(
        [
            Failure("voice", "hoarse") if isinstance(r, SpeechRequest) else a
            for r, a in zip(requests, answers(requests, reply("hi")), strict=True)
        ]
    )
    assert held.feed(answers(requests)) == []
    step: Any = held.step
    assert not step.over
    assert step.info["failed"] == "voice: hoarse"
    assert not step.next.dialogue_feedback.response_waveform.any()


def test_an_episode_without_pictures_ends_with_its_first_turn() -> None:
    held = DialogueSession(toy_task(), TEMPLATE, SimulatorConfig())
    requests = held.begin(SEED)
    assert held.feed([Failure("pictures", "no paint")] * len(requests)) == []
    assert "no paint" in held.step.info["failed"]
    assert not held.step.over
    assert held.act(WORDS) == []
    assert held.step.truncated
    assert "no paint" in held.step.info["failed"]
    requests = held.begin(SEED)
    held.feed(answers(requests))
    assert held.step.info["failed"] == ""


def test_pictures_come_from_the_pool_of_the_mode() -> None:
    for mode in ("train", "test"):
        requests = DialogueSession(toy_task(), TEMPLATE, SimulatorConfig(mode=mode, images_per_item=3, height=32, width=16)).begin(SEED)
        for request in requests:
            assert isinstance(request, PictureRequest)
            assert request.mode == mode
            assert request.index in range(3)
            assert (request.height, request.width) == (32, 16)
    drawn: list[Any] = DialogueSession(toy_task(), TEMPLATE, SimulatorConfig(images_per_item=0)).begin(SEED)
    assert [request.index for request in drawn] == [None, None]
    assert len({request.seed for request in drawn}) == 2


def test_a_session_that_waits_has_no_step() -> None:
    held = DialogueSession(toy_task(), TEMPLATE, SimulatorConfig())
    with pytest.raises(RuntimeError, match="feed"):
        _ = held.step
    with pytest.raises(RuntimeError, match="no episode has begun"):
        held.act(WORDS)
    with pytest.raises(RuntimeError, match="asked for nothing"):
        held.feed([])
    held.begin(SEED)
    with pytest.raises(RuntimeError, match="SHOW"):
        _ = held.step


def test_answers_of_a_real_judge_are_understood() -> None:
    task = load_task("cafe")
    services = toy_services(task, pictures=Answers(lambda request: PICTURE))
    held = DialogueSession(task, TEMPLATE, SimulatorConfig())
    run(held, services, held.begin(SEED))
    name = held.step.info["offered"][0]
    step = run(held, services, held.act(speech(f"may i have the {name.replace('_', ' ')}")))
    assert step.info["item_name"] == name
    assert step.terminated
