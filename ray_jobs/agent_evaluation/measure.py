"""Figures of recorded dialogues, with intervals: over episodes, as what happens within one hangs together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.ray_jobs.agent_evaluation.speech_scores import WantedWords
from rapport.training.metrics import FloatArray, with_intervals

Turns = Sequence[Mapping[str, Any]]
RATIOS = {
    "mean_return": ("return", "episodes"),
    "success": ("successes", "episodes"),
    "turns_per_episode": ("turns", "episodes"),
    "understood": ("understood", "meant"),
    "item_accuracy": ("given_right", "given"),
    "choice": ("chose_best", "could_choose"),
    "exact": ("exact", "meant"),
    "wer": ("wrong_words", "words"),
    "silent": ("silent", "turns"),
}
"""Figure to the sums that it is the ratio of."""
SUMS = tuple(dict.fromkeys(name for pair in RATIOS.values() for name in pair))
NOTHING = ""


def episodes_of(turns: Turns) -> list[Turns]:
    """The turns of each episode, in the order of their seeds, but for episodes that a service broke off."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for turn in turns:
        found.setdefault(turn["episode"], []).append(turn)
    return [found[seed] for seed in sorted(found) if not any(turn["failed"] for turn in found[seed])]


def sums_of(episodes: Sequence[Turns], wanted: WantedWords) -> FloatArray:
    """[E, K] `SUMS` of each episode, or of those of its turns that are given."""
    return np.array([[_sums(turns, wanted)[name] for name in SUMS] for turns in episodes], np.float64).reshape(-1, len(SUMS))


def ratios(sums: FloatArray) -> dict[str, FloatArray]:
    """[...] every figure of sums [..., K]; NaN where there is nothing to divide by."""
    column = {name: sums[..., place] for place, name in enumerate(SUMS)}
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: np.where(column[below] > 0, column[above] / column[below], np.nan) for name, (above, below) in RATIOS.items()}


def report(turns: Turns, wanted: WantedWords, *, resamples: int, seed: int) -> dict[str, Any]:
    """`figures`, each with `value`, `low` and `high`; `counts`; `scenes` and `items`, figures of the turns in each scene and of each item
    that was meant; `confusion`, how often what was handed over when which item was meant."""
    episodes = episodes_of(turns)
    sums = sums_of(episodes, wanted)
    held = [turn for episode in episodes for turn in episode]
    return {
        "figures": with_intervals(sums, ratios, resamples, seed),
        "counts": {
            "episodes": len(episodes),
            "turns": len(held),
            "failed": len({turn["episode"] for turn in turns}) - len(episodes),
            "clipped_turns": sum(turn["clipped"] > 0 for turn in held),
            "problems": sum(bool(turn["problem"]) for turn in held),
        },
        "seconds": _seconds(turns),
        "scenes": _grouped(held, "scene_name", wanted),
        "items": _grouped([turn for turn in held if turn["chosen_name"]], "chosen_name", wanted),
        "confusion": confusion(held),
    }


def differences(first: Turns, other: Turns, wanted: WantedWords, *, resamples: int, seed: int) -> dict[str, dict[str, float]]:
    """Each figure of the first less that of the other, with intervals: over the episodes that both held, drawn for both at once."""
    mine, theirs = ({turns[0]["episode"]: turns for turns in episodes_of(some)} for some in (first, other))
    both = sorted(mine.keys() & theirs.keys())
    sums = np.concatenate([sums_of([side[seed_] for seed_ in both], wanted) for side in (mine, theirs)], axis=1)

    def minus(drawn: FloatArray) -> dict[str, FloatArray]:
        one, two = ratios(drawn[..., : len(SUMS)]), ratios(drawn[..., len(SUMS) :])
        return {name: one[name] - two[name] for name in one}

    return with_intervals(sums, minus, resamples, seed) if both else {}


def confusion(turns: Turns) -> dict[str, Any]:
    """`meant` and `given`, names in order, the latter ending with nothing at all (an empty name); `counts` [meant][given]."""
    pairs = [(turn["chosen_name"], turn["item_name"]) for turn in turns if turn["chosen_name"]]
    meant = sorted({one for one, _ in pairs})
    given = [*sorted({*meant, *(other for _, other in pairs if other)}), NOTHING]
    counts: npt.NDArray[np.int64] = np.zeros((len(meant), len(given)), np.int64)
    for one, other in pairs:
        counts[meant.index(one), given.index(other)] += 1
    return {"meant": meant, "given": given, "counts": counts.tolist()}


def split(turns: Turns, unseen: Sequence[str], wanted: WantedWords) -> dict[str, dict[str, float]]:
    """Figures of turns about items that the body was trained on (`seen`), and about others (`unseen`); empty without others."""
    if not unseen:
        return {}
    held = [turn for episode in episodes_of(turns) for turn in episode if turn["chosen_name"]]
    sides = {"seen": [t for t in held if t["chosen_name"] not in unseen], "unseen": [t for t in held if t["chosen_name"] in unseen]}
    return {name: _plain(side, wanted) for name, side in sides.items()}


def _sums(turns: Turns, wanted: WantedWords) -> dict[str, float]:
    meant = [turn for turn in turns if turn["chosen_name"]]
    given = [turn for turn in meant if turn["item_name"]]
    could = [turn for turn in meant if turn["best"]]
    heard = [wanted.nearest(turn["chosen_name"], turn["transcript"]) for turn in meant]
    total = sum(turn["reward"] for turn in turns)
    right = sum(turn["item_name"] == turn["chosen_name"] for turn in given)
    return {
        "return": total,
        "episodes": 1,
        "successes": total > 0,
        "turns": len(turns),
        "understood": right,
        "meant": len(meant),
        "given_right": right,
        "given": len(given),
        "chose_best": sum(turn["chosen_name"] in turn["best"] for turn in could),
        "could_choose": len(could),
        "exact": sum(not wrong for _, wrong, _ in heard),
        "wrong_words": sum(wrong for _, wrong, _ in heard),
        "words": sum(words for _, _, words in heard),
        "silent": sum(turn["silent"] for turn in turns),
    }


def _grouped(turns: Turns, key: str, wanted: WantedWords) -> dict[str, dict[str, float]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for turn in turns:
        groups.setdefault(turn[key], []).append(turn)
    return {name: _plain(some, wanted) for name, some in sorted(groups.items())}


def _plain(turns: Turns, wanted: WantedWords) -> dict[str, float]:
    """Figures of turns: without those of episodes, with how many there are and their mean reward."""
    if not turns:
        return {"turns": 0}
    sums = sums_of([turns], wanted)[0]
    found = {name: float(value) for name, value in ratios(sums).items() if RATIOS[name][1] != "episodes" and not np.isnan(value)}
    return {"turns": len(turns), "mean_reward": float(np.mean([turn["reward"] for turn in turns])), **found}


def _seconds(turns: Turns) -> dict[str, float]:
    """Mean seconds that a step waited for each service, and of the agent's speech."""
    names = ("judge_s", "ears_s", "voice_s", "pictures_s", "said_s")
    return {name: float(np.mean([turn[name] for turn in turns])) for name in names} if turns else {}
