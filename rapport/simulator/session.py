"""One dialogue as a state machine that holds no model: it says what it wants to know, and goes on when it is told.

    session = DialogueSession(task, template, SimulatorConfig())
    requests = session.begin(EpisodeSeed(7, 0, 0, 0))     # or session.act(waveform)
    while requests:
        requests = session.feed(ask(services, requests))
    session.step                                          # the Transition

A turn goes through the stages HEAR (transcribe), JUDGE, SHOW (pictures of the new offer, the spoken reply, the next opening line) and
SPEAK (the opening line); a reset begins at SHOW. Many sessions whose `stage` is the same can share one batch.
"""

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

from rapport.simulator.config import SimulatorConfig
from rapport.simulator.offers import Offers
from rapport.simulator.prompt_book import PromptBook
from rapport.simulator.requests import Failure, HearingRequest, JudgeRequest, Request, Result, SpeechRequest
from rapport.simulator.rules import TaskRules
from rapport.simulator.scenario import Scene, spoken
from rapport.simulator.seeding import EpisodeSeed
from rapport.simulator.state import DialogueFeedback, DialogueScene, EnvironmentState, FeedbackItem
from rapport.simulator.task import Task
from rapport.simulator.transition import Action, Transition
from rapport.simulator.utterance import Utterance, check_action
from rapport.simulator.verdict import Verdict, read_verdict

_read = lru_cache(maxsize=4096)(read_verdict)  # a judge that is kept, or keeps rules, says the same things again and again


class Stage(IntEnum):
    """What a session waits for, in the order of a turn."""

    HEAR = 0
    JUDGE = 1
    SHOW = 2
    SPEAK = 3
    REST = 4


class DialogueSession:
    """The dialogues of one agent with one counterpart, episode after episode."""

    def __init__(self, task: Task, template: str | PromptBook, config: SimulatorConfig) -> None:
        self.stage = Stage.REST
        self._task = task
        self._scenario = task.scenario
        self._config = config
        self._rules = TaskRules(task, config)
        self._offers = Offers(task.scenario, config)
        self._prompts = PromptBook(template, task.scenario) if isinstance(template, str) else template
        self._silence = np.zeros(config.sampling_rate_hz, np.float32)
        self._silence.setflags(write=False)
        self._current: EnvironmentState | None = None
        self._step: Transition | None = None

    @property
    def step(self) -> Transition:
        """What the last `begin` or `act` came to. Only once `feed` has nothing more to ask."""
        if self._step is None:
            raise RuntimeError(f"this session waits at {self.stage.name}: feed it the results of its requests first")
        return self._step

    def begin(self, seed: EpisodeSeed) -> list[Request]:
        """Starts an episode; what must be known for it."""
        self._seed = seed
        self._draws = seed.generator()
        self._judge_seed, self._rules_seed = self._draws.integers(2**31, size=2).tolist()
        self._talk_step = 0
        self._current = None
        self._dead = ""
        self._utterance: Utterance | None = None
        self._scene = self._scenario.scenes[self._scenario.initial_scene_id]
        self._start_turn()
        return self._show()

    def act(self, action: Action) -> list[Request]:
        """Starts a turn; what must be known for it. A `str` is heard perfectly.

        Raises ActionError, with nothing changed, for an action that is not speech.
        """
        if self._current is None:
            raise RuntimeError("no episode has begun: begin one, and feed it the results of its requests")
        utterance = check_action(action, self._config.silence_peak)
        self._utterance = utterance
        self._start_turn()
        if self._dead:
            return self._break_off()
        if utterance.heard is None:
            return self._judge(str(utterance.action))
        if utterance.silent and not self._config.faithful:
            return self._judge("")
        self.stage = Stage.HEAR
        return [HearingRequest(utterance.heard, self._config.sampling_rate_hz)]

    def feed(self, results: Sequence[Result]) -> list[Request]:
        """Goes on with the results of all requests, in order; what must be known next, nothing when the step is done."""
        match self.stage:
            case Stage.HEAR:
                return self._after_hearing(results[0])
            case Stage.JUDGE:
                return self._after_judging(results[0])
            case Stage.SHOW:
                return self._after_showing(results)
            case Stage.SPEAK:
                self._opening_waveform = self._spoken(results[0])
                return self._settle()
        raise RuntimeError("this session asked for nothing: begin an episode or act first")

    def _start_turn(self) -> None:
        self._step = None
        self._failures: list[str] = []
        self._problems: list[str] = []
        self._transcript = self._reply_text = ""
        self._verdict: Verdict | None = None
        self._given: FeedbackItem | None = None
        self._given_name = ""
        self._response_waveform = self._opening_waveform = self._silence

    def _after_hearing(self, heard: Result) -> list[Request]:
        if isinstance(heard, Failure):
            return self._die(heard)
        return self._judge(str(heard))

    def _judge(self, transcript: str) -> list[Request]:
        self.stage = Stage.JUDGE
        self._transcript = transcript.strip()
        return [self._judge_request(self._transcript, 2 * self._talk_step)]

    def _judge_request(self, heard: str, turn: int) -> JudgeRequest:
        page = self._prompts.page(self._scene, self._offer)
        return JudgeRequest(page.prompt, heard, page.offered, page.moves, (self._judge_seed + turn) % 2**31)

    def _after_judging(self, reply: Result) -> list[Request]:
        if isinstance(reply, Failure):
            return self._die(reply)
        self._reply_text = str(reply)
        verdict = self._verdict = _read(self._reply_text)
        if verdict.problem:
            self._problems.append(verdict.problem)
        self._hand_over(verdict.item_name)
        left = self._scene
        self._scene = self._next_scene(verdict.next_scene_id)
        self._talk_step += 1
        speaks = self._config.audio and verdict.response_text
        return self._show(SpeechRequest(verdict.response_text, left.voice, self._config.sampling_rate_hz) if speaks else None)

    def _hand_over(self, name: str | None) -> None:
        if name is None:
            return
        assert self._current is not None
        for item, image in zip(self._offer, self._current.dialogue_scene.images, strict=True):
            if item.spoken == spoken(name):
                self._given, self._given_name = FeedbackItem(item.id, image, item.attributes), item.name
                return
        self._problems.append(f"item_name {name!r} is not on offer")

    def _next_scene(self, chosen: int | str | None) -> Scene:
        if chosen is None:
            return self._scene
        if isinstance(chosen, str) and self._config.lenient_scene_ids:
            chosen = int(chosen) if chosen.strip().isdecimal() else chosen
        if isinstance(chosen, int) and chosen in self._scene.next_scenes and chosen in self._scenario.scenes:
            return self._scenario.scenes[chosen]
        self._problems.append(f"next_scene_id {chosen!r} cannot follow scene {self._scene.id}")
        return self._scene

    def _show(self, reply: SpeechRequest | None = None) -> list[Request]:
        """A fresh offer in the scene, also when it is the same scene as before."""
        self.stage = Stage.SHOW
        self._offer = self._offers.draw(self._scene, self._draws)
        requests: list[Request] = [self._offers.picture(item, self._draws) for item in self._offer]
        if self._config.audio or self._config.faithful:
            requests.append(self._judge_request("", 2 * self._talk_step + 1))
        if reply is not None:
            requests.append(reply)
        return requests or self._after_showing([])

    def _after_showing(self, results: Sequence[Result]) -> list[Request]:
        self._images = [self._picture(result) for result in results[: len(self._offer)]]
        rest = list(results[len(self._offer) :])
        opening = rest.pop(0) if self._config.audio or self._config.faithful else None
        if rest:
            self._response_waveform = self._spoken(rest[0])
        self._opening_text = self._opening(opening)
        if self._config.audio and self._opening_text:
            self.stage = Stage.SPEAK
            return [SpeechRequest(self._opening_text, self._scene.voice, self._config.sampling_rate_hz)]
        return self._settle()

    def _opening(self, reply: Result | None) -> str:
        if isinstance(reply, Failure):  # an agent can do without: the scene is silent, the dialogue goes on
            self._note(reply)
        return _read(reply).response_text if isinstance(reply, str) else ""

    def _spoken(self, speech: Result) -> np.ndarray:
        if isinstance(speech, np.ndarray):
            return speech
        if isinstance(speech, Failure):
            self._note(speech)
        return self._silence

    def _picture(self, picture: Result) -> np.ndarray:
        if isinstance(picture, np.ndarray):
            return picture
        if isinstance(picture, Failure):
            self._note(picture)
        self._dead = self._failures[-1]
        return np.zeros((self._config.height, self._config.width, 3), np.uint8)

    def _note(self, failure: Failure) -> None:
        self._failures.append(f"{failure.service}: {failure.reason}")

    def _die(self, failure: Failure) -> list[Request]:
        self._note(failure)
        self._dead = self._failures[-1]
        return self._break_off()

    def _break_off(self) -> list[Request]:
        """Ends an episode whose turn cannot be held: truncated, without reward, where it was."""
        assert self._current is not None
        assert self._utterance is not None
        self._talk_step += 1
        before = self._current
        after = EnvironmentState(before.dialogue_scene, DialogueFeedback(None, self._silence), before.internal_state)
        observation = self._rules.observe(after, self._rules_seed + self._talk_step)
        self._failures = self._failures or [self._dead]
        self._finish(Transition(before, after, self._utterance.action, 0.0, False, True, observation, self._turn_info(self._scene.id)))
        return []

    def _settle(self) -> list[Request]:
        before = self._current
        scene = DialogueScene(self._scene.id, self._opening_waveform, self._images)
        seed = self._rules_seed + self._talk_step
        if before is None:
            state, observation = self._rules.first(scene, seed)
            self._finish(Transition(None, state, None, 0.0, False, False, observation, self._info()))
            return []
        assert self._utterance is not None
        feedback = DialogueFeedback(self._given, self._response_waveform)
        action = self._utterance.action
        waveform = self._silence if isinstance(action, str) else action
        outcome = self._rules.turn(before, waveform, scene, feedback, seed)
        truncated = outcome.truncated or self._talk_step >= self._task.max_step or bool(self._dead)
        info = self._turn_info(before.dialogue_scene.scene_id)
        self._finish(Transition(before, outcome.state, action, outcome.reward, outcome.terminated, truncated, outcome.observation, info))
        return []

    def _finish(self, step: Transition) -> None:
        self.stage = Stage.REST
        self._current = step.next
        self._step = step

    def _info(self) -> dict[str, Any]:
        return {
            "seed": str(self._seed),
            "scene_id": self._scene.id,
            "offered": tuple(item.name for item in self._offer),
            "opening": self._opening_text,
            "failed": "; ".join(self._failures),
        }

    def _turn_info(self, scene_id: int) -> dict[str, Any]:
        assert self._utterance is not None
        verdict = self._verdict
        return self._info() | {
            "transcript": self._transcript,
            "verdict": self._reply_text,
            "reply": verdict.response_text if verdict else "",
            "reason": (verdict.reason or "") if verdict else "",
            "problem": "; ".join(self._problems),
            "item_id": self._given.id if self._given else -1,
            "item_name": self._given_name,
            "scene_id": scene_id,
            "next_scene_id": self._scene.id,
            "talk_step": self._talk_step,
            "silent": self._utterance.silent,
            "clipped": self._utterance.clipped,
        }
