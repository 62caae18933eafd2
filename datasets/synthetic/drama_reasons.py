"""Why a line of a made drama has its label, and how that is said."""

from dataclasses import dataclass
from typing import Literal

from rapport.datasets.synthetic import drama_world as world


@dataclass(frozen=True, slots=True)
class Beat:
    """Why a line has its label."""

    kind: Literal["opening", "report", "reaction"]
    event: str | None
    """What happened last."""
    temperament: str
    scene: str
    odd: bool = False
    """Whether the label was drawn anew."""


def label_of(corpus: str, temperament: str, scene: str, event: str) -> str:
    """What somebody of a temperament feels about an event in a kind of scene."""
    return world.FEELING[corpus][world.MEANING[scene][event]][temperament]


def rationale_for(name: str, beat: Beat, label: str) -> str:
    """Why, in words: the persona, the scene and the event, what it means there, and the label on the last line."""
    seen = seen_in(name, beat)
    if beat.kind != "reaction":
        return f"{seen.removesuffix('.')}, so the line is calm.\n<{label}>"
    return f"{seen} {meaning_of(beat)} {feeling_of(name, beat, label)}\n<{label}>"


def seen_in(name: str, beat: Beat) -> str:
    """What is plain to see down to a line of somebody: that it opens or reports, or else where and after what it comes."""
    if beat.kind == "opening":
        return f"{name} only opens the talk, and nothing has happened yet."
    event = event_of(beat)
    if beat.kind == "report":
        return f"{name} only reports {event}."
    return f"The scene is the {beat.scene}, and the last event is {event}."


def meaning_of(beat: Beat) -> str:
    """What the event means in that kind of scene."""
    return f"In a {beat.scene} {event_of(beat)} means {told_meaning(beat)}."


def feeling_of(name: str, beat: Beat, label: str) -> str:
    """How somebody of that temperament takes it."""
    return f"{trait_of(name, beat)}, and to such a person {told_meaning(beat)} feels {label.lower()}."


def trait_of(name: str, beat: Beat) -> str:
    """What somebody is like, without an end."""
    return f"{name} is {world.TRAITS[beat.temperament]}"


def event_of(beat: Beat) -> str:
    """The name of what happened last."""
    assert beat.event is not None
    return world.NAMES_OF_EVENTS[beat.event]


def told_meaning(beat: Beat) -> str:
    """What the event means where it happens, as a rationale tells it."""
    assert beat.event is not None
    return world.TOLD_AS[world.MEANING[beat.scene][beat.event]]
