"""A judge's reply read into its parts, whatever it is: prose around the JSON, half an object, or no JSON at all."""

import json
from dataclasses import dataclass
from typing import Any

MAY_I_HELP = "How may I help you?"
"""What the counterpart says when its judge said nothing that can be read."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge decided. Whether the move is legal and the item on offer is for the session to say."""

    response_text: str
    next_scene_id: int | str | None
    """A number in quotes stays a string: the published simulator does not move for it."""
    item_name: str | None
    reason: str | None
    """Why it moves; read by people only."""
    problem: str | None
    """What was wrong with the reply, None when nothing was."""


def read_verdict(reply: str) -> Verdict:
    """The verdict in a reply: the JSON object from its first `{` to its last `}`. Never raises.

    A reply that cannot be parsed counts as `{}`: nothing handed over, no move, and the counterpart asks whether it may help. A part of
    the wrong type counts as absent; `problem` then names it.
    """
    problems: list[str] = []
    data = _object_in(reply, problems)
    text = _part(data, "response_text", problems)
    if text is None:
        text = MAY_I_HELP
        if data:
            problems.append("no response_text")
    scene = data.get("next_scene_id")
    if isinstance(scene, float) and scene.is_integer():
        scene = int(scene)
    if scene is not None and (isinstance(scene, bool) or not isinstance(scene, int | str)):
        problems.append(f"next_scene_id: wanted a whole number or null, found {_short(scene)}")
        scene = None
    return Verdict(
        response_text=text,
        next_scene_id=_sound(scene) if isinstance(scene, str) else scene,
        item_name=_part(data, "item_name", problems),
        reason=_part(data, "next_scene_reason", problems),
        problem="; ".join(problems) or None,
    )


def _object_in(reply: str, problems: list[str]) -> dict[str, Any]:
    start, end = reply.find("{"), reply.rfind("}")
    if start < 0 or end < start:
        problems.append(f"no JSON object in the reply {_short(reply)}")
        return {}
    try:
        return json.loads(reply[start : end + 1])
    except (ValueError, RecursionError) as error:
        problems.append(f"the reply is not JSON ({error}): {_short(reply)}")
        return {}


def _part(data: dict[str, Any], key: str, problems: list[str]) -> str | None:
    value = data.get(key)
    if value is None or isinstance(value, str):
        return None if value is None else _sound(value)
    problems.append(f"{key}: wanted text or null, found {_short(value)}")
    return None


def _sound(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON may spell but nothing can write or speak."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
