"""Everyday sentences without emotion in their words, every word of which the embedded recogniser's dictionary has."""

import numpy as np

_PEOPLE = ("my sister", "the teacher", "our neighbour", "a friend of mine", "the doctor", "his brother", "the driver", "her mother")
_PLACES = (
    "in the kitchen",
    "at the station",
    "near the river",
    "behind the school",
    "at the market",
    "on the second floor",
    "by the window",
    "in the garden",
)
_TIMES = ("this morning", "after lunch", "last week", "tomorrow evening", "at half past seven", "on Sunday", "before dinner", "every day")
_THINGS = (
    "a blue jacket",
    "the old radio",
    "two tickets",
    "the garden chairs",
    "a letter",
    "the red car",
    "some fresh bread",
    "a new lamp",
)
_PAST = ("bought", "found", "painted", "carried", "sold", "opened", "left", "moved")
_TEMPLATES = (
    "{person} {past} {thing} {time}",
    "{person} {past} {thing} {place}",
    "there is a bus {place} {time}",
    "the meeting {place} begins {time}",
    "they said that {person} {past} {thing}",
    "we will look for {thing} {place}",
    "the weather changed {time} and {person} went home",
    "I think {person} is {place}",
    "please put {thing} {place}",
    "you can see {person} {place} {time}",
)


def sentence(rng: np.random.Generator) -> str:
    """One sentence, first letter capital, without its final stop."""
    parts = {"person": _PEOPLE, "place": _PLACES, "time": _TIMES, "thing": _THINGS, "past": _PAST}
    chosen = {name: str(rng.choice(values)) for name, values in parts.items()}
    text = str(rng.choice(_TEMPLATES)).format(**chosen)
    return text[0].upper() + text[1:]
