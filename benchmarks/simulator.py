"""What dialogues cost: many at a time, lazy and cached, beside one at a time with every call made; and what learning in them costs.

    python benchmarks/simulator.py
    python benchmarks/simulator.py --part learners --clock cpu --json simulator.json

Three parts. Contenders take turns, figures are medians over turns, and dialogues must go the same way whoever holds them.

    engines    turns a second of an agent that says real utterances, with espeak, PocketSphinx told the task's sentences, the rule judge and
               drawn pictures, on the tasks cafe and cafe_corner, with the counterpart silent and speaking:
               - faithful: one session that makes every call of the published simulator; no answer is kept
               - from empty: many sessions in one vector, lazy and cached, caches empty at the beginning (goal: 50 times as fast)
               - warm: the same with caches that have met every utterance
               - new speech: the same as warm, but no two utterances are the same samples, so that the ears must hear each
               and how many calls of each kind an episode makes
    fakes      the same with the tone voice, its decoder, and flat pictures
    learners   turns a second that proximal policy optimisation gathers and learns from, by RLlib as `train_agent` sets it up, beside
               stable-baselines3: the same networks, rollouts, turns in a minibatch and passes, the same dialogues, caches warm; each in
               this one process, though `train_agent` may act in several.
               Ours chooses a picture and draws a sentence embedding; the other library has no such action and draws the choice as a
               number (goal: as fast). Once with a body that says one of a few utterances at no cost, so that nothing but the environments
               and the learning is measured, and once with a body that was trained: it searches for what to say, and says new things

An agent's utterances are the task's sentences, by two voices: a few dozen, as an agent ends up with a few dozen ways to say things.
`--clock cpu` counts the seconds that this process had a processor, for computers that are busy with other things as well.
"""

import argparse
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from rapport.models.spolacq.services import load_services, with_cache
from rapport.models.spolacq.services_config import CacheConfig, ServicesConfig
from rapport.simulator.body import Body
from rapport.simulator.cache import unread_by
from rapport.simulator.config import AgentEnvConfig, SimulatorConfig
from rapport.simulator.prompt import find_prompt, load_template
from rapport.simulator.requests import KINDS, HearingRequest, PictureRequest, Request, Result, Services, SpeechRequest
from rapport.simulator.task import Task, load_task

GOAL_FASTER, GOAL_PEER = 50, 1.0
VOICES = ("af_heart", "am_adam")
RATE_HZ = 22_050
TASKS = ("cafe", "cafe_corner")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Figures = dict[str, Any]
Contender = Callable[[], tuple[float, "Held"]]


def main() -> None:
    options = _options()
    _set_threads(options.threads)
    engines, fakes = ServicesConfig(), ServicesConfig(ears="tone", voice="tone", pictures="flat")
    parts: dict[str, Callable[[], Figures]] = {
        "engines": partial(with_engines, engines, options),
        "fakes": partial(dialogues, fakes, options),
        "learners": partial(learners, options),
    }
    results: dict[str, Figures] = {}
    for name, part in parts.items():
        if options.part in ("all", name):
            results[name] = {**part(), "threads": options.threads, "clock": options.clock}
            print(name, *(f"  {line}" for line in results[name]["told"]), sep="\n", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


class Counted:
    """A service that counts what reaches it."""

    def __init__(self, service: Any) -> None:
        self.service = service
        self.version, self.deterministic, self.unread = service.version, service.deterministic, unread_by(service)
        self.calls = 0

    def batch(self, requests: Sequence[Request]) -> list[Result]:
        self.calls += len(requests)
        answers: list[Result] = self.service.batch(requests)
        return answers


class Repertoire:
    """All that an agent can say: the utterances of each item in a task, by each voice."""

    def __init__(self, task: Task, services: Services) -> None:
        assert task.patterns is not None
        self.items = list(task.scenario.items.values())
        lines = {item.name: [(text, voice) for voice in VOICES for text in task.patterns.utterances(item)] for item in self.items}
        asked = [SpeechRequest(text, voice, RATE_HZ) for said in lines.values() for text, voice in said]
        spoken = iter(services.voice.batch(asked))
        self.speech = {name: [_lasting(next(spoken)) for _ in said] for name, said in lines.items()}
        self.size = len(asked)

    def answer(self, info: Mapping[str, Any]) -> np.ndarray:
        """An utterance of an item on offer, float32 [S]: always the same one in the same turn of the same episode."""
        dice = crc32(f"{info['seed']} {info.get('talk_step', 0)}".encode())
        offered = info["offered"]
        said = self.speech[offered[dice % len(offered)]]
        return said[dice // len(offered) % len(said)]


@dataclass
class Held:
    """What a contender's turns came to."""

    turns: int
    episodes: int
    calls: dict[str, int]
    """Of each kind that reached the engines."""
    rewards: dict[str, float]
    """Of the first row's turns, by episode and turn."""


def with_engines(config: ServicesConfig, options: argparse.Namespace) -> Figures:
    """Dialogues that are really spoken and heard, which have a goal."""
    found = dialogues(config, options)
    found["told"].append(f"goal: from empty {GOAL_FASTER} x faithful")
    return found


def dialogues(config: ServicesConfig, options: argparse.Namespace) -> Figures:
    """Turns a second in every task, with a counterpart that is silent and one that speaks."""
    told: list[str] = []
    found: dict[str, Figures] = {}
    for name in TASKS:
        task = load_task(name)
        bare = load_services(config.model_copy(update={"cache": CacheConfig(enabled=False)}), task)
        repertoire = Repertoire(task, bare)
        for audio in (False, True):
            place = f"{name}, {'speaking' if audio else 'silent'}"
            found[place] = _compared(place, _Hall(task, bare, repertoire, audio, options), options)
            told += [f"{place} counterpart, {repertoire.size} utterances, {options.sessions} sessions", *found[place].pop("told")]
    return {"told": told, "found": found, "services": config.model_dump(mode="json")}


@dataclass(frozen=True)
class _Hall:
    """Where contenders hold dialogues."""

    task: Task
    bare: Services
    repertoire: Repertoire
    audio: bool
    options: argparse.Namespace

    @property
    def template(self) -> str:
        return load_template(find_prompt("cafe.txt"))

    def config(self, *, faithful: bool) -> SimulatorConfig:
        return SimulatorConfig(audio=self.audio, sampling_rate_hz=RATE_HZ, faithful=faithful)

    def services(self, *, cached: bool) -> tuple[Services, dict[str, Counted]]:
        """The engines, counted, and caches before them."""
        counted = {kind: Counted(getattr(self.bare, kind)) for kind in KINDS.values()}
        cache = CacheConfig(enabled=cached)
        return Services(**{kind: with_cache(kind, service, cache) for kind, service in counted.items()}), counted


def _compared(place: str, hall: _Hall, options: argparse.Namespace) -> Figures:
    """The contenders in one hall."""
    contenders: dict[str, Contender] = {
        "faithful": partial(hold_faithful, hall, options.faithful_turns),
        "from empty": partial(hold_vector, hall, options.turns),
        "warm": _warm(hall, options.turns),
        "new speech": _warm(hall, options.new_turns, new_speech=True),
    }
    paces: dict[str, list[float]] = {name: [] for name in contenders}
    last: dict[str, Held] = {}
    for turn in range(options.rounds):
        for name in list(contenders) if turn % 2 == 0 else list(contenders)[::-1]:
            pace, last[name] = contenders[name]()
            paces[name].append(pace)
        line = ", ".join(f"{name} {statistics.median(values):.4g}" for name, values in paces.items())
        print(f"{place}, turn {turn + 1}/{options.rounds}: {line} turns a second", file=sys.stderr, flush=True)
    told = [f"  {name:12} {_spread(paces[name])} turns a second; calls an episode: {_calls(held)}" for name, held in last.items()]
    for name in ("from empty", "warm"):
        _check_same(last["faithful"], last[name], name)
    ratios = {name: _ratio(paces[name], paces["faithful"]) for name in list(contenders)[1:]}
    told.append("  beside faithful: " + ", ".join(f"{name} {ratio:.1f} x" for name, ratio in ratios.items()))
    return {"told": told, "turns_per_s": paces, "ratio": ratios, "held": {name: asdict(held) for name, held in last.items()}}


def hold_faithful(hall: _Hall, turns: int) -> tuple[float, Held]:
    """So many turns of one session: turns a second, and what they came to."""
    from rapport.simulator.env import DialogueEnv

    services, counted = hall.services(cached=False)
    env = DialogueEnv(hall.task, services, hall.template, hall.config(faithful=True))
    before = _counts(counted)
    rewards: dict[str, float] = {}
    episodes, over = 0, True
    info: dict[str, Any] = {}
    now_s = CLOCKS[hall.options.clock]
    began_s = now_s()
    for _ in range(turns):
        if over:
            _, info = env.reset()
        _, reward, terminated, truncated, info = env.step(hall.repertoire.answer(info))
        rewards[_turn(info)] = reward
        over = terminated or truncated
        episodes += over
    pace = turns / (now_s() - began_s)
    return pace, Held(turns, episodes, _since(counted, before), rewards)


def _warm(hall: _Hall, turns: int, *, new_speech: bool = False) -> Contender:
    """A contender whose caches have met every utterance and picture."""
    kept = hall.services(cached=True)
    hold_vector(hall, hall.options.turns, kept)
    return partial(hold_vector, hall, turns, kept, count(1) if new_speech else None)


def hold_vector(
    hall: _Hall, turns: int, kept: tuple[Services, dict[str, Counted]] | None = None, numbers: Iterator[int] | None = None
) -> tuple[float, Held]:
    """At least so many turns in a vector: turns a second, and what they came to. With `numbers`, no utterance is like another."""
    from rapport.simulator.vector_env import DialogueVectorEnv

    services, counted = kept or hall.services(cached=True)
    env = DialogueVectorEnv(hall.task, services, hall.template, hall.config(faithful=False), num_envs=hall.options.sessions)
    before = _counts(counted)
    rewards: dict[str, float] = {}
    episodes = held = 0
    now_s = CLOCKS[hall.options.clock]
    began_s = now_s()
    env.reset()
    while held < turns:
        over = env.rows.over.copy()
        actions = [None if step.over else hall.repertoire.answer(step.info) for step in env.rows.transitions]
        if numbers is not None:
            # Softer by less than can be heard, each time by another amount.
            actions = [a if a is None else a * np.float32(1 - 1e-6 * (next(numbers) % 100_000)) for a in actions]
        _, reward, terminated, truncated, _ = env.step(actions)
        held += int((~over).sum())
        episodes += int((terminated | truncated).sum())
        if not over[0]:
            rewards[_turn(env.rows.transitions[0].info)] = float(reward[0])
    pace = held / (now_s() - began_s)
    return pace, Held(held, episodes, _since(counted, before), rewards)


def learners(options: argparse.Namespace) -> Figures:
    """Turns a second of learning, in every task and with both bodies."""
    import ray

    told: list[str] = []
    found: dict[str, Figures] = {}
    # Processors are counted for the training of bodies; learners work in this process.
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="simulator-bench-") as scratch:
            for name in TASKS:
                bodies = {"a repertoire": "", "a trained body": _train_body(name, options.storage or scratch)}
                for body, folder in bodies.items():
                    school = open_school(name, options.learner_sessions, options.threads, folder)
                    turns = options.body_turns if folder else options.learned_turns
                    place = f"{name}, {body}"
                    found[place] = _both_learn(school, place, turns, options)
                    told += [f"{place}, {options.learner_sessions} sessions, {school.learning.ppo.batch_size} turns an iteration"]
                    told += found[place].pop("told")
    finally:
        ray.shutdown()
    told.append(f"goal: {GOAL_PEER} x")
    return {"told": told, "found": found}


def _both_learn(school: "School", place: str, turns: int, options: argparse.Namespace) -> Figures:
    learn = {"ours": school.ours(), "stable-baselines3": school.peer()}
    for each in learn.values():  # the first iteration warms up
        each(school.learning.ppo.batch_size)
    paces = _in_turns({who: partial(_pace, each, turns, options) for who, each in learn.items()}, options.rounds, place)
    ratio = _ratio(paces["ours"], paces["stable-baselines3"])
    told = [f"  {who:18} {_spread(values)} turns a second" for who, values in paces.items()]
    told.append(f"  ours beside stable-baselines3: {ratio:.2f} x")
    return {"turns_per_s": paces, "ratio": ratio, "told": told}


def _train_body(name: str, storage: str) -> str:
    """A body of the smallest preset for a task, trained in about a minute, or found again."""
    from rapport.core.config import read_config, with_values
    from rapport.ray_jobs import train_agent
    from rapport.ray_jobs.agent_training.body import find_body
    from rapport.ray_jobs.agent_training.config import TrainAgentConfig

    preset = Path(train_agent.__file__).parent / "configs" / "train_agent" / "embedded.yaml"
    config = with_values(read_config(TrainAgentConfig, preset), {"task": name, "storage": storage})
    return find_body(config, load_task(name), lambda line: print(line, file=sys.stderr, flush=True), quiet=True)


class Parrot:
    """A `rapport.simulator.body.Body` that has an agent's eyes and a repertoire: it names the item that it takes a picture for."""

    rate_hz = RATE_HZ
    sentence_width = 8

    def __init__(self, repertoire: Repertoire, services: Services) -> None:
        from rapport.models.spolacq.eyes import EmbeddedEyes
        from rapport.simulator.feature_cache import FeatureCache

        eyes = EmbeddedEyes()
        self.feature_width = eyes.width
        self._features = FeatureCache(eyes.see, 4096)  # one for all environments: each keeps features as well, but only its own
        asked = [PictureRequest(i.id, i.name, i.prompt, "train", n, 0, 64, 64) for i in repertoire.items for n in range(10)]
        features = self.see([np.asarray(picture) for picture in services.pictures.batch(asked)])
        self._looks = features.reshape(len(repertoire.items), 10, -1).mean(1)
        self._speech = [repertoire.speech[item.name] for item in repertoire.items]

    def see(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(self._features.features(pictures))

    def say(self, features: np.ndarray, sentences: np.ndarray) -> list[np.ndarray]:
        items = np.square(features[:, None] - self._looks).sum(-1).argmin(-1)
        manners = sentences.argmax(-1)
        return [self._speech[i][manner % len(self._speech[i])] for i, manner in zip(items, manners, strict=True)]


class School:
    """The dialogues of a task, and who learns in them."""

    def __init__(self, name: str, sessions: int, threads: int, body: str) -> None:
        """`body` is the folder of one; without, the agent says what is in its repertoire."""
        from rapport.models.spolacq.body import SpolacqBody
        from rapport.models.spolacq.policy import Layout
        from rapport.models.spolacq.policy_config import PolicyConfig
        from rapport.ray_jobs.agent_training.settings import LearningConfig

        self.task = load_task(name)
        self.services = load_services(ServicesConfig(), self.task)
        self.template = load_template(find_prompt("cafe.txt"))
        self.body_folder = body
        if body:
            self.body: Body = SpolacqBody.from_pretrained(body)
        else:
            repertoire = Repertoire(self.task, self.services)
            self.body = Parrot(repertoire, self.services)
            self.services.ears.batch([HearingRequest(speech, RATE_HZ) for said in repertoire.speech.values() for speech in said])
        self.simulator = SimulatorConfig(sampling_rate_hz=self.body.rate_hz)
        self.layout = Layout(numbers=2, features=self.body.feature_width, sentence=self.body.sentence_width)
        self.policy = PolicyConfig()
        self.learning = LearningConfig(algorithm="ppo", runners=0, sessions=sessions, threads=threads)

    def ours(self) -> Callable[[int], int]:
        """Learns for at least so many turns, and tells how many they were."""
        from ray.tune.registry import register_env

        from rapport.ray_jobs.agent_training import processes
        from rapport.ray_jobs.agent_training.algorithms import Plan, build

        register_env(self.task.name, create)
        context = {"school": (self.task.name, self.learning.sessions, self.learning.threads, self.body_folder)}
        algorithm = build(Plan(self.learning, self.policy, self.layout, self.task.name, context, seed=0))
        iterations = count()

        def learn(turns: int) -> int:
            held = 0
            while held < turns:
                processes.seed_all(algorithm, 0, next(iterations))
                algorithm.train()
                held += processes.take_tally(algorithm).turns
            return held

        return learn

    def peer(self) -> Callable[[int], int]:
        """Learns for at least so many turns, and tells how many they were."""
        from stable_baselines3 import PPO
        from stable_baselines3.common.vec_env import DummyVecEnv

        from rapport.simulator.agent_env import AgentEnv

        def row(number: int) -> AgentEnv:
            actions = AgentEnvConfig(actions="box")
            return AgentEnv(self.task, self.services, self.template, self.body, self.simulator, actions, row=number)

        ppo = self.learning.ppo
        model = PPO(
            peer_policy(self.layout, self.policy),
            DummyVecEnv([partial(row, number) for number in range(self.learning.sessions)]),
            n_steps=max(1, ppo.batch_size // self.learning.sessions),
            batch_size=ppo.minibatch_size,
            n_epochs=ppo.epochs,
            learning_rate=ppo.lr,
            gamma=ppo.gamma,
            gae_lambda=ppo.lambda_,
            clip_range=ppo.clip,
            ent_coef=ppo.choice_entropy,
            vf_coef=ppo.value_weight,
            max_grad_norm=ppo.clip_norm,
            seed=0,
            device="cpu",
        )

        def learn(turns: int) -> int:
            before = model.num_timesteps
            model.learn(turns, reset_num_timesteps=False)
            return model.num_timesteps - before

        return learn


@lru_cache
def open_school(name: str, sessions: int, threads: int, body: str) -> School:
    """The one of these settings in this process."""
    return School(name, sessions, threads, body)


def create(context: Mapping[str, Any]) -> Any:
    """Dialogues as RLlib asks for them."""
    from rapport.ray_jobs.agent_training.environment import CountedDialogues
    from rapport.simulator.agent_env import AgentVectorEnv

    school = open_school(*context["school"])
    sessions = context["num_envs"]
    env = AgentVectorEnv(school.task, school.services, school.template, school.body, school.simulator, num_envs=sessions, reseeds=False)
    return CountedDialogues(env, _no_test, time_limit_ends=True)


def peer_policy(layout: Any, config: Any) -> type[Any]:
    """Our networks as stable-baselines3 wants a policy: over one box, the choice of picture as a number."""
    import torch
    from stable_baselines3.common.distributions import Distribution
    from stable_baselines3.common.policies import ActorCriticPolicy
    from torch import Tensor

    from rapport.models.spolacq.policy import Actor, Value

    class Networks(ActorCriticPolicy):
        def _build(self, lr_schedule: Callable[[float], float]) -> None:
            self.actor = Actor(layout, config, deviations=layout.pictures - 1 + layout.sentence)
            self.value = Value(layout, config)
            self.optimizer = torch.optim.Adam(self.parameters(), lr=lr_schedule(1))

        def get_distribution(self, obs: Any) -> Distribution:
            choice = self.actor(obs)
            mean = torch.cat([choice.scores[:, 1:] - choice.scores[:, :1], choice.sentence / layout.limit], -1)
            distribution: Distribution = self.action_dist.proba_distribution(mean, choice.log_deviation)
            return distribution

        def forward(self, obs: Any, deterministic: bool = False) -> tuple[Tensor, Tensor, Tensor]:
            distribution = self.get_distribution(obs)
            actions = distribution.get_actions(deterministic=deterministic)
            return actions, self.predict_values(obs), distribution.log_prob(actions)

        def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
            distribution = self.get_distribution(obs)
            return self.predict_values(obs), distribution.log_prob(actions), distribution.entropy()

        def predict_values(self, obs: Any) -> Tensor:
            values: Tensor = self.value(obs)
            return values.unsqueeze(-1)

    return Networks


def _no_test(worker: int) -> Any:
    raise NotImplementedError("nothing is evaluated here")


def _lasting(speech: Result) -> np.ndarray:
    """Speech as bodies give it: remembered, and not to be written to."""
    samples = np.array(speech)
    samples.setflags(write=False)
    return samples


def _turn(info: Mapping[str, Any]) -> str:
    return f"{info['seed']} {info['talk_step']}"


def _counts(counted: Mapping[str, Counted]) -> dict[str, int]:
    return {kind: service.calls for kind, service in counted.items()}


def _since(counted: Mapping[str, Counted], before: Mapping[str, int]) -> dict[str, int]:
    return {kind: calls - before[kind] for kind, calls in _counts(counted).items()}


def _calls(held: Held) -> str:
    return ", ".join(f"{kind} {calls / max(1, held.episodes):.3g}" for kind, calls in held.calls.items())


def _check_same(first: Held, other: Held, name: str) -> None:
    """Stop when an episode went another way."""
    shared = first.rewards.keys() & other.rewards.keys()
    unlike = [turn for turn in shared if first.rewards[turn] != other.rewards[turn]]
    if unlike or not shared:
        raise SystemExit(f"faithful and {name} share {len(shared)} turns, of which {len(unlike)} were rewarded otherwise")


def _pace(work: Callable[[int], int], turns: int, options: argparse.Namespace) -> float:
    now_s = CLOCKS[options.clock]
    began_s = now_s()
    held = work(turns)
    return held / (now_s() - began_s)


def _in_turns(contenders: Mapping[str, Callable[[], float]], rounds: int, place: str) -> dict[str, list[float]]:
    """What each contender measured in all its turns; who begins alternates."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in list(contenders) if turn % 2 == 0 else list(contenders)[::-1]:
            found[name].append(contenders[name]())
        line = ", ".join(f"{name} {statistics.median(values):.4g}" for name, values in found.items())
        print(f"{place}, turn {turn + 1}/{rounds}: {line} turns a second", file=sys.stderr, flush=True)
    return found


def _spread(values: list[float]) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{statistics.median(values):9.1f} (quartiles {low:.1f} to {high:.1f})"


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["all", "engines", "fakes", "learners"], default="all", help="what to measure")
    parser.add_argument("--sessions", type=int, default=32, help="dialogues side by side in a vector")
    parser.add_argument("--learner-sessions", type=int, default=16, help="the same where agents learn, as in `train_agent`")
    parser.add_argument("--turns", type=int, default=8000, help="turns of many sessions from empty and warm caches: those of a training")
    parser.add_argument("--faithful-turns", type=int, default=40, help="turns of the one session")
    parser.add_argument("--new-turns", type=int, default=64, help="turns in which no utterance is like another")
    parser.add_argument("--learned-turns", type=int, default=2048, help="turns that a learner gathers and learns from at a time")
    parser.add_argument("--body-turns", type=int, default=512, help="the same with a trained body")
    parser.add_argument("--storage", default="", help="where trained bodies are kept for another time; unless given, nowhere")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="which seconds are counted")
    parser.add_argument("--threads", type=int, default=1, help="processors of a learner")
    parser.add_argument("--json", default="", help="also write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
