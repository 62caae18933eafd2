"""Everyday sentences without emotion in their words: about 500 words, all of which the embedded recogniser's dictionary has.

Every sentence names one thing, and a thing belongs to one topic, so that a reply can take up what was said. There are many millions of
sentences: those of one speaker or of one side of a split need never be heard from another.
"""

from collections.abc import Mapping

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


THINGS: Mapping[str, tuple[str, ...]] = {
    "food": _words("bread butter cheese soup potatoes onions rice coffee sugar honey pepper lemons noodles beans tomatoes cabbage")
    + _words("milk salad pancakes mustard vinegar cookies mushrooms spinach pumpkin garlic"),
    "furniture": _words("chair table lamp shelf mirror carpet curtain sofa cupboard drawer blanket pillow desk bench clock")
    + _words("ladder bucket basket mattress vase cabinet stool wardrobe hammock"),
    "clothes": _words("jacket sweater scarf shirt trousers shoes boots gloves hat belt coat skirt socks apron collar umbrella")
    + _words("slippers helmet bracelet wallet necklace vest sandals pajamas"),
    "travel": _words("bicycle suitcase passport map truck van trailer boat tractor canoe backpack tent compass engine motorcycle")
    + _words("wagon taxi bus guidebook scooter ferry balloon"),
    "office": _words("letter envelope folder calendar notebook printer pencil contract magazine newspaper dictionary stamp")
    + _words("invoice receipt document computer keyboard telephone camera battery cable scissors ruler stapler"),
    "garden": _words("fence shovel hose seeds gate roses hammer nails bricks rope tools soil gravel brush pump hedge axe")
    + _words("tiles timber barrel wheelbarrow tulips rake chisel"),
}
"""Topic to the things of that topic."""

_PEOPLE = tuple(
    f"{owner} {person}"
    for owner, people in {
        "my": "sister aunt cousin landlord",
        "our": "neighbor teacher nephew",
        "his": "brother uncle partner",
        "her": "mother daughter colleague",
        "the": "doctor driver student painter farmer baker lawyer engineer waiter manager sailor tailor clerk carpenter gardener",
    }.items()
    for person in _words(people)
) + _words("Anna Peter Maria David Susan Robert Helen Martin Julia Thomas Laura Kevin Nancy George Alice Victor Emma Oscar Linda")
_OWNERS = ("the", "his", "her", "our", "my")
_QUALITIES = _words(
    "old new small large green blue yellow brown white black gray round square wooden plastic metal heavy light narrow wide long short "
    "second third spare plain striped folded foreign local modern thick thin dark orange purple soft flat silver cotton other first"
)
_PAST = _words(
    "bought found carried sold left moved ordered borrowed returned packed brought checked noticed chose collected delivered kept "
    "described mentioned counted photographed measured cleaned repaired covered showed received weighed wrapped painted"
)
_VERBS = _words(
    "find carry sell move order borrow return pack bring check collect deliver take draw count photograph keep paint describe measure "
    "clean repair cover wrap choose mention"
)
_PLACES = (
    *(f"in the {place}" for place in _words("kitchen garden basement garage corner hall village workshop attic yard hotel")),
    *(f"at the {place}" for place in _words("station market airport office border counter farm bakery pharmacy university")),
    *(f"near the {place}" for place in _words("river church entrance stadium harbor elevator fountain")),
    *(f"behind the {place}" for place in _words("school theater restaurant factory")),
    *("on the second floor", "on the balcony", "on the roof", "on the platform", "on the island", "by the window", "by the door"),
    *("next to the library", "next to the bank", "under the bridge", "under the stairs", "across the street", "outside the museum"),
    *("around the corner", "beside the lake", "in the waiting room", "in the parking lot", "between the houses", "along the canal"),
)
_PAST_TIMES = (
    *(f"on {day}" for day in _words("Sunday Monday Tuesday Wednesday Thursday Friday Saturday")),
    *(f"in {month}" for month in _words("January February March April June July August September October November December")),
    *(f"last {time}" for time in _words("week month year summer winter spring autumn")),
    *("this morning", "yesterday evening", "after lunch", "before dinner", "at half past seven", "at noon", "ten minutes ago"),
    *("during the break", "before the meeting", "at a quarter past nine", "three days ago", "at five thirty", "around midnight"),
    *("after the lecture", "early today", "twelve months ago", "after breakfast", "during the afternoon"),
)
_COMING_TIMES = (
    *(f"next {time}" for time in _words("week month year summer Tuesday Friday")),
    *("tomorrow morning", "tomorrow afternoon", "later today", "tonight", "in five days", "in twenty minutes", "before the weekend"),
    *("at six this evening", "in eleven weeks", "in half a year"),
)
_NUMBERS = _words("three five six seven nine ten eleven twelve thirteen fifteen twenty thirty forty fifty sixty seventy ninety")
_CITIES = _words("London Boston Chicago Madrid Dublin Denver Toronto Berlin Houston Austin Dallas Vienna Sydney Moscow Detroit")
_TEMPLATES = (
    "{person} {past} {owner} {quality} {thing} {past_time}",
    "{person} {past} {owner} {thing} {place}",
    "{person} {past} {owner} {quality} {thing}",
    "{person} will {verb} {owner} {thing} {coming_time}",
    "{person} and {other_person} {past} {owner} {thing}",
    "you can see {owner} {quality} {thing} {place}",
    "please put {owner} {quality} {thing} {place}",
    "{person} paid {number} dollars for {owner} {thing}",
    "{person} showed {other_person} {owner} {thing}",
    "I think {person} {past} {owner} {thing}",
    "they said that {person} will {verb} {owner} {thing}",
    "we looked for {owner} {quality} {thing} {place}",
    "there was a number on {owner} {thing}",
    "{person} took a picture of {owner} {thing}",
    "{owner} {quality} {thing} came from {city}",
    "{number} people asked about {owner} {thing} {past_time}",
    "someone {past} {owner} {quality} {thing} {place}",
    "{person} and I will {verb} {owner} {thing}",
    "{owner} {thing} stayed {place} all week",
    "in {city} {person} {past} {owner} {thing}",
)
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "person": _PEOPLE,
    "other_person": _PEOPLE,
    "owner": _OWNERS,
    "quality": _QUALITIES,
    "past": _PAST,
    "verb": _VERBS,
    "place": _PLACES,
    "past_time": _PAST_TIMES,
    "coming_time": _COMING_TIMES,
    "number": _NUMBERS,
    "city": _CITIES,
    "thing": tuple(thing for things in THINGS.values() for thing in things),
}
_TOPIC_OF = {thing: topic for topic, things in THINGS.items() for thing in things}


def sentence(rng: np.random.Generator) -> str:
    """One sentence, first letter capital, without its final stop."""
    chosen = {name: values[rng.integers(len(values))] for name, values in _CHOICES.items()}
    text = _TEMPLATES[rng.integers(len(_TEMPLATES))].format(**chosen)
    return text[0].upper() + text[1:]


def sentences(count: int, rng: np.random.Generator) -> list[str]:
    """That many different sentences."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[sentence(rng)] = None
    return list(found)


def thing_of(text: str) -> tuple[str, str] | None:
    """The thing that a sentence of this grammar names, and its topic; None for other sentences."""
    for word in text.lower().replace(".", " ").replace(",", " ").split():
        if word in _TOPIC_OF:
            return word, _TOPIC_OF[word]
    return None


def vocabulary() -> frozenset[str]:
    """All words that a sentence may have, in lower case."""
    fixed = " ".join(_TEMPLATES).replace("{", "<").split()
    words = {word for word in fixed if not word.startswith("<")}
    words |= {word for values in _CHOICES.values() for value in values for word in value.split()}
    return frozenset(word.lower() for word in words)
