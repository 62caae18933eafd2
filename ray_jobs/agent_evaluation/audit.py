"""How far two judges agree: the second is asked about the turns that the first decided, on the same prompts and words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rapport.core.errors import RapportError
from rapport.simulator.prompt_book import PromptBook
from rapport.simulator.requests import JudgeRequest, Service
from rapport.simulator.scenario import Scene, spoken
from rapport.simulator.task import Task
from rapport.simulator.verdict import read_verdict

_AT_ONCE = 32
_SHOWN = 20


def audit(turns: Sequence[Mapping[str, Any]], task: Task, template: str, judge: Service[JudgeRequest]) -> dict[str, Any]:
    """Agreement over turns that no service broke off: on the item (`item`), on the scene that follows (`scene`), on both (`both`), each
    with `share` and Cohen's `kappa` (None where chance alone would agree always); `turns`; `unanswered`; `differing`, some in full.

    Raises RapportError when the judge answers nothing.
    """
    turns = [turn for turn in turns if not turn["failed"]]
    requests = _requests(turns, task, template)
    answers: list[Any] = []
    for start in range(0, len(requests), _AT_ONCE):
        try:
            answers += judge.batch(requests[start : start + _AT_ONCE])
        except RapportError:
            raise
        except Exception as error:  # whatever a service dies of
            raise RapportError(f"second_judge ({judge.version}) failed: {type(error).__name__}: {error}") from error
    first, second, shown = [], [], []
    for turn, request, answer in zip(turns, requests, answers, strict=True):
        if not isinstance(answer, str):
            continue
        scene = task.scenario.scenes[turn["scene_id"]]
        one, other = (turn["item_name"], turn["next_scene_id"]), _decision(answer, request, scene)
        first.append(one)
        second.append(other)
        if one != other:
            shown.append(_told(turn, one, other, answer))
    if requests and not first:
        raise RapportError(f"second_judge ({judge.version}) answered none of {len(requests)} turns: {answers[0]}")
    parts = {"item": 0, "scene": 1}
    return {
        "judge": judge.version,
        "turns": len(first),
        "unanswered": len(turns) - len(first),
        **{name: agreement([one[i] for one in first], [other[i] for other in second]) for name, i in parts.items()},
        "both": agreement(first, second),
        "differing": shown[:_SHOWN],
    }


def agreement(first: Sequence[Any], second: Sequence[Any]) -> dict[str, float | None]:
    """`share` of equal decisions, and Cohen's `kappa`, which takes off what chance would make equal."""
    if not first:
        return {"share": None, "kappa": None}
    share = sum(a == b for a, b in zip(first, second, strict=True)) / len(first)
    ones, others = Counter(first), Counter(second)
    chance = sum(ones[key] * others[key] for key in ones) / len(first) ** 2
    return {"share": share, "kappa": None if chance >= 1 else (share - chance) / (1 - chance)}


def _requests(turns: Sequence[Mapping[str, Any]], task: Task, template: str) -> list[JudgeRequest]:
    book, items = PromptBook(template, task.scenario), {item.name: item for item in task.scenario.items.values()}
    requests = []
    for turn in turns:
        page = book.page(task.scenario.scenes[turn["scene_id"]], [items[name] for name in turn["offered"]])
        requests.append(JudgeRequest(page.prompt, turn["transcript"], page.offered, page.moves, 0))
    return requests


def _decision(answer: str, request: JudgeRequest, scene: Scene) -> tuple[str, int]:
    """What a session would make of an answer: the item handed over, and the scene that follows."""
    verdict = read_verdict(answer)
    named = spoken(verdict.item_name) if verdict.item_name is not None else ""
    item = next((name for name in request.offered if spoken(name) == named), "")
    legal = {number for number, _ in request.moves}
    moved = verdict.next_scene_id
    return item, moved if isinstance(moved, int) and moved in legal else scene.id


def _told(turn: Mapping[str, Any], first: tuple[str, int], second: tuple[str, int], answer: str) -> dict[str, Any]:
    return {
        "episode": turn["episode"],
        "turn": turn["turn"],
        "scene": turn["scene_name"],
        "offered": list(turn["offered"]),
        "heard": turn["transcript"],
        "first": {"item": first[0], "scene": first[1]},
        "second": {"item": second[0], "scene": second[1], "reply": answer},
    }
