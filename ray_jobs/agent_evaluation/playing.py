"""Dialogues of one system: an agent, its choices in words, or a reference policy. Nothing here knows of Ray.

Row b of shard w of every system goes through the same episodes, so that systems are compared on the same beginnings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rapport.core import storage
from rapport.models.spolacq.policy import AgentPolicy
from rapport.ray_jobs.agent_evaluation.offline import EpisodeKeeper
from rapport.ray_jobs.agent_evaluation.speech_free import InWords
from rapport.ray_jobs.agent_services.hosts import ServicePlace
from rapport.ray_jobs.agent_training.world import AgentWorld, OpenedWorld, open_world
from rapport.simulator.agent_env import AgentVectorEnv
from rapport.simulator.foresight import Foresight, sentence, turn_of
from rapport.simulator.policies import Policy, Spoken, load_policy
from rapport.simulator.published_logs import LogRecorder
from rapport.simulator.recorder import Recorder
from rapport.simulator.recording import DialogueRecorder
from rapport.simulator.rows import DialogueRows
from rapport.simulator.task import Task
from rapport.simulator.transition import Action, Transition

AGENT, WORDS = "agent", "agent_words"
_NEARLY = 1e-6


@dataclass(frozen=True, slots=True)
class System:
    """One way to act."""

    name: str
    """Unique in an evaluation."""
    kind: str
    """`agent`, `words`, `reference` or `spoken`."""
    source: str = ""
    """Name of the reference policy."""
    pattern: int = 0
    """Which of an item's utterances it says."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one task plays of a system."""

    world: AgentWorld
    place: ServicePlace | None
    system: System
    policy: str
    """Folder of the agent's policy."""
    seed: int
    worker: int
    episodes: int
    sessions: int
    folder: str
    """Where it is recorded."""
    media: int | None
    """Episodes that keep their sounds and pictures."""
    logs: str
    """Folder of published logs; none unless given."""
    exports: tuple[str, ...]
    """Forms of offline data to be written."""


class Player(Protocol):
    """What acts in all rows."""

    rows: DialogueRows

    def reset(self, seed: int) -> None: ...

    def step(self) -> list[str]:
        """A turn in every row. The name of the item that each meant, empty for none."""
        ...


def play_share(share: Share) -> str:
    """Plays and records a share; gives the folder of the recording. Raises RapportError for a world that cannot be opened."""
    for folder in filter(None, (share.folder, share.logs)):
        storage.remove(folder)  # of a process that died
    opened = open_world(share.world, share.place)
    simulator = share.world.simulator.model_copy(update={"mode": "test", "sampling_rate_hz": opened.body.rate_hz})
    sessions = min(share.sessions, share.episodes)
    player: Player
    if share.system.kind in ("agent", "words"):
        policy = AgentPolicy.from_pretrained(share.policy)
        body = InWords(opened.body) if share.system.kind == "words" else opened.body
        keeper = EpisodeKeeper(policy.layout, share.world.agent.sentence_limit) if share.exports else None
        agent = share.world.agent.model_copy(update={"actions": "factored"})
        env = AgentVectorEnv(opened.task, opened.services, opened.template, body, simulator, agent, num_envs=sessions, worker=share.worker)
        player = AgentPlayer(env, policy, opened.task, body, keeper)
    else:
        keeper = None
        rows = DialogueRows(opened.task, opened.services, opened.template, simulator, rows=sessions, worker=share.worker)
        player = PolicyPlayer(rows, *_policy(share, opened), opened.task, share.system.pattern)
    foresight = Foresight(opened.task, opened.services.judge, opened.template, offer_size=simulator.offer_size)
    recorders = _recorders(share, opened.task, simulator.sampling_rate_hz)
    play(player, best_of(foresight, opened.task), recorders, share.seed, counts(share.episodes, sessions), keeper)
    for recorder in recorders:
        recorder.close()
    if keeper is not None:
        keeper.write(storage.join(share.folder, "offline"), share.exports)
    return share.folder


def counts(episodes: int, rows: int) -> np.ndarray:
    """How many episodes each row plays, int [B]: as many in each but for the rest, so that short ones do not crowd out long ones."""
    return episodes // rows + (np.arange(rows) < episodes % rows)


def play(
    player: Player,
    best: Callable[[Transition], list[str]],
    recorders: Sequence[Recorder],
    seed: int,
    left: np.ndarray,
    keeper: EpisodeKeeper | None = None,
) -> None:
    """Plays the first `left` [B] episodes of each row and tells recorders of them. `best` names the items that are worth most in a turn."""
    rows = player.rows
    player.reset(seed)
    left = left.copy()
    met = list(rows.transitions)
    tell(recorders, met, left > 0, [{}] * len(met))
    while left.any():
        wanted, acted = left > 0, ~rows.over
        known: list[dict[str, Any]] = [{"best": best(step)} if wanted[row] and acted[row] else {} for row, step in enumerate(met)]
        meant = player.step()
        for row, step in enumerate(met):
            if acted[row]:
                offered = list(step.info["offered"])
                known[row] |= {"chosen_name": meant[row], "chosen": offered.index(meant[row]) if meant[row] in offered else -1}
        met = list(rows.transitions)
        tell(recorders, met, wanted, known)
        if keeper is not None:
            keeper.close_rows(wanted, met)
        left -= (wanted & acted & rows.over).astype(int)


def tell(recorders: Sequence[Recorder], steps: Sequence[Transition], wanted: np.ndarray, known: Sequence[Mapping[str, Any]]) -> None:
    """Let recorders hear of the rows that are wanted."""
    for row in np.flatnonzero(wanted).tolist():
        for recorder in recorders:
            recorder.take(row, steps[row], known[row])


def best_of(foresight: Foresight, task: Task) -> Callable[[Transition], list[str]]:
    """Names the items on offer that are worth most: those that an oracle would ask for."""

    def best(step: Transition) -> list[str]:
        if not step.info["offered"]:
            return []
        turn = turn_of(task, step)
        values = np.asarray(foresight.values(turn))
        return [item.name for item, value in zip(turn.offer, values, strict=True) if value >= values.max() - _NEARLY]

    return best


class AgentPlayer:
    """An agent with its body, without trying anything out."""

    def __init__(self, env: AgentVectorEnv, policy: AgentPolicy, task: Task, body: Any, keeper: EpisodeKeeper | None = None) -> None:
        self.rows = env.rows
        self._env, self._policy, self._task, self._body, self._keeper = env, policy, task, body, keeper

    def reset(self, seed: int) -> None:
        self._observations, _ = self._env.reset(seed=seed)

    def step(self) -> list[str]:
        images, sentences = self._policy.act(self._observations)
        offers = [step.info["offered"] for step in self.rows.transitions]
        meant = [offer[image] if image < len(offer) else "" for offer, image in zip(offers, images.tolist(), strict=True)]
        if isinstance(self._body, InWords):
            self._body.words = self._words(offers)
        acted = ~self.rows.over
        before = self._observations
        self._observations, rewards, terminated, truncated, _ = self._env.step({"image": images, "sentence": sentences})
        if self._keeper is not None:
            self._keeper.take(acted, before, images, sentences, rewards, terminated, truncated, self._observations)
        return meant

    def _words(self, offers: Sequence[Sequence[str]]) -> dict[bytes, str]:
        layout = self._policy.layout
        items = {item.name: item for item in self._task.scenario.items.values()}
        seen = self._observations[:, layout.numbers :].reshape(len(offers), layout.pictures, layout.features)
        return {
            seen[row, place].tobytes(): sentence(self._task, items[name])
            for row, offer in enumerate(offers)
            for place, name in enumerate(offer[: layout.pictures])
        }


class PolicyPlayer:
    """A reference policy, whose words tell what it means."""

    def __init__(
        self, rows: DialogueRows, words: Policy[str], acts: Callable[[Sequence[str]], Sequence[Action]], task: Task, pattern: int = 0
    ) -> None:
        """`acts` makes actions of the words of all rows, `pattern` is which of an item's utterances is said."""
        self.rows = rows
        self._words, self._acts, self._task, self._pattern = words, acts, task, pattern

    def reset(self, seed: int) -> None:
        self.rows.reset(seed)

    def step(self) -> list[str]:
        steps = self.rows.transitions
        words = self._words.act(steps)
        meant = [self._meant(step, said) for step, said in zip(steps, words, strict=True)]
        self.rows.step(list(self._acts(words)))
        return meant

    def _meant(self, step: Transition, words: str) -> str:
        items = {item.name: item for item in self._task.scenario.items.values()}
        return next((name for name in step.info["offered"] if words and sentence(self._task, items[name], self._pattern) == words), "")


class _Fixed:
    """Words that are known already, as a policy."""

    def __init__(self) -> None:
        self.words: Sequence[str] = ()

    def act(self, steps: Sequence[Transition]) -> list[str]:
        return list(self.words)


def _policy(share: Share, opened: OpenedWorld) -> tuple[Policy[str], Callable[[Sequence[str]], Sequence[Action]]]:
    """What says words, and what makes actions of them."""
    offer_size = share.world.simulator.offer_size
    policy = load_policy(
        share.system.source, opened.task, opened.services.judge, opened.template, pattern=share.system.pattern, offer_size=offer_size
    )
    if share.system.kind != "spoken":
        return policy, lambda words: words
    scene = opened.task.scenario.scenes[opened.task.scenario.initial_scene_id]
    fixed = _Fixed()
    aloud = Spoken(fixed, opened.services.voice, scene.voice, opened.body.rate_hz)

    def speak(words: Sequence[str]) -> Sequence[Action]:
        fixed.words = words
        return aloud.act(())

    return policy, speak


def _recorders(share: Share, task: Task, rate_hz: int) -> list[Recorder]:
    names = {scene.id: scene.name for scene in task.scenario.scenes.values()}
    found: list[Recorder] = [DialogueRecorder(share.folder, rate_hz=rate_hz, scene_names=names, label=share.system.name, media=share.media)]
    if share.logs:
        found.append(LogRecorder(share.logs, task, mode="test", rate_hz=rate_hz))
    return found
