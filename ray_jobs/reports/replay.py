"""A page that plays recorded dialogues: what was shown, said, heard and decided, turn by turn."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from rapport.core.audio import decode, encode_flac
from rapport.ray_jobs.reports.page import data_uri, render
from rapport.simulator.recording import Recording
from rapport.simulator.task import Task

Turn = Mapping[str, Any]
_WIDEST = 224
"""Pixels."""


@dataclass(frozen=True)
class _Offer:
    """A picture on show."""

    name: str
    picture: str
    """Key into the page's pictures, empty when it was not kept."""
    marks: tuple[str, ...]
    """Of `meant`, `given`, `best`."""


def replay_page(title: str, episodes: Sequence[tuple[Recording, Sequence[Turn]]], task: Task) -> str:
    """A self-contained HTML page. Raises RecordingError when a sound or picture of the recordings is gone.

    It is worked with the keyboard too: arrow keys go from turn to turn and from episode to episode, the space bar plays a turn.
    """
    pictures: dict[str, str] = {}
    shown = [_episode(number, recording, turns, task, pictures) for number, (recording, turns) in enumerate(episodes, start=1)]
    turns = sum(len(episode["turns"]) for episode in shown)
    return render("replay.html", title=title, episodes=shown, pictures=pictures, turns=turns)


def _episode(number: int, recording: Recording, turns: Sequence[Turn], task: Task, pictures: dict[str, str]) -> dict[str, Any]:
    total = sum(turn["reward"] for turn in turns)
    asked = [turn for turn in turns if turn["chosen_name"]]
    missed = sum(turn["chosen_name"] != turn["item_name"] for turn in asked)
    failed = any(turn["failed"] for turn in turns)
    last = turns[-1]
    return {
        "number": number,
        "seed": turns[0]["episode"],
        "label": turns[0]["label"],
        "total": total,
        "outcome": "failed" if failed else "missed" if missed else "understood",
        "end": "broken off by a service"
        if failed
        else "ended"
        if last["terminated"]
        else "out of turns"
        if last["truncated"]
        else "unfinished",
        "turns": [_turn(recording, turn, task, pictures) for turn in turns],
    }


def _turn(recording: Recording, turn: Turn, task: Task, pictures: dict[str, str]) -> dict[str, Any]:
    kept = list(turn["pictures"]) or [""] * len(turn["offered"])
    offers = []
    for name, path in zip(turn["offered"], kept, strict=True):
        if path and path not in pictures:
            pictures[path] = _picture(recording.bytes_of(path))
        marks = {"meant": name == turn["chosen_name"], "given": name == turn["item_name"], "best": name in turn["best"]}
        offers.append(_Offer(_spoken(name), path, tuple(mark for mark, is_so in marks.items() if is_so)))
    following = task.scenario.scenes.get(turn["next_scene_id"])
    return {
        **{key: turn[key] for key in ("turn", "scene_name", "opening", "said", "transcript", "reply", "reason", "problem", "failed")},
        **{key: turn[key] for key in ("verdict", "reward", "silent", "clipped", "said_s", "judge_s", "ears_s", "voice_s", "pictures_s")},
        "offers": offers,
        "meant": _spoken(turn["chosen_name"]),
        "given": _spoken(turn["item_name"]),
        "right": bool(turn["item_name"]) and turn["item_name"] == turn["chosen_name"],
        "state": [f"{value:.3g}" for value in turn["internal_state"]],
        "state_after": [f"{value:.3g}" for value in turn["internal_state_after"]],
        "next_scene": following.name if following and turn["next_scene_id"] != turn["scene_id"] else "",
        "sounds": {part: _sound(recording, turn[f"{part}_audio"]) for part in ("opening", "said", "reply")},
    }


def _picture(png: bytes) -> str:
    """A picture as a page holds it, made small enough for a page of hundreds."""
    with Image.open(io.BytesIO(png)) as image:
        if max(image.size) <= _WIDEST:
            return data_uri(png)
        small = image.convert("RGB")
    small.thumbnail((_WIDEST, _WIDEST))
    sink = io.BytesIO()
    small.save(sink, format="JPEG", quality=88)
    return data_uri(sink.getvalue(), "image/jpeg")


def _sound(recording: Recording, path: str) -> str:
    """A sound as a page holds it: half as large, and beyond full scale cut as the ears cut it."""
    if not path:
        return ""
    samples, rate_hz = decode(recording.bytes_of(path))
    return data_uri(encode_flac(samples[0], rate_hz), "audio/flac")


def _spoken(name: str) -> str:
    return name.replace("_", " ")
