"""Made conversations whose emotions follow from who speaks, where, and what happened before: clues provably help.

    dramas = make_dramas(DramaConfig(corpus="meld"), seed=0)
    bounds = best_accuracies(config)        # what any model can reach that sees only some of the clues

The same people come back in conversation after conversation, yet nobody appears on two sides: a name learned by heart is of no use later.
First names and last names come in all temperaments and on all sides, so that no word of a name is new to a model or tells it anything.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from pydantic import Field

from rapport.core.config import Config
from rapport.core.conversations import LABELS, Clues, Conversation, Line
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS
from rapport.datasets.conversations.clues import to_clues
from rapport.datasets.conversations.records import key_of
from rapport.datasets.conversations.seeds import Seed
from rapport.datasets.synthetic import drama_world as world
from rapport.datasets.synthetic.drama_reasons import Beat, label_of, rationale_for
from rapport.datasets.synthetic.seeds import generator

EPISODE = 20
"""Conversations in one made episode."""


class DramaConfig(Config):
    """How many conversations, and how regular their world is."""

    corpus: Literal["meld", "emorynlp"] = "meld"
    """Whose labels the lines carry."""
    train: int = Field(default=600, ge=1)
    """Conversations to learn from; each has about nine lines."""
    validation: int = Field(default=100, ge=1)
    """Conversations to choose by."""
    test: int = Field(default=150, ge=1)
    """Conversations to measure on."""
    people: int = Field(default=72, ge=8, le=96)
    """How many recur in train; validation and test have 24 others each."""
    events: int = Field(default=3, ge=1, le=6)
    """Events in a conversation."""
    noise: float = Field(default=0.02, ge=0, le=0.5)
    """Share of reactions whose label is drawn anew from all labels: what no clue explains."""
    seeds: int = Field(default=10, ge=1)
    """Examples with a rationale, from train; at least one of each label."""
    facts: int = Field(default=4000, ge=0)
    """Texts about the world, of which a model that learns from nothing learns what a published one knows."""
    casts: int = Field(default=4000, ge=0)
    """Texts of two to four personas and what each of these people is like, of which it learns to look people up."""


@dataclass(frozen=True, slots=True)
class Dramas:
    """Made conversations and all that their maker knows of them."""

    config: DramaConfig
    conversations: list[Conversation]
    clues: Clues
    seeds: list[Seed]
    beats: dict[tuple[str, int], Beat]
    """`<split>/<dialogue_id>` and turn to why."""

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of their class indices."""
        return LABELS[self.config.corpus]


def make_dramas(config: DramaConfig, seed: int) -> Dramas:
    """The conversations of all three sides with personas, scenes and seeds; the same seed gives the same.

    Raises RapportError when there are fewer seeds than labels, or too few conversations to find one of each label in.
    """
    people = cast(config, seed)
    conversations: list[Conversation] = []
    beats: dict[tuple[str, int], Beat] = {}
    scenes: dict[str, str] = {}
    for split in SPLITS:
        for number in range(getattr(config, split)):
            conversation, why, scene = _drama(config, split, number, people[split], seed)
            conversations.append(conversation)
            scenes[key_of(conversation)] = scene
            beats.update({(key_of(conversation), turn): beat for turn, beat in enumerate(why)})
    personas = {name: text for side in people.values() for name, (_, text) in side.items()}
    made = Dramas(config, conversations, to_clues(personas, scenes), [], beats)
    made.seeds.extend(_seeds(made, seed))
    return made


def cast(config: DramaConfig, seed: int) -> dict[str, dict[str, tuple[str, str]]]:
    """Split to the people of that side: name to temperament and persona.

    On each side every temperament is had by as many as any other, up to one.
    """
    rng = generator(seed, "cast")
    names = [f"{first} {last}" for first, last in product(world.FIRST_NAMES, world.LAST_NAMES)]
    order = [names[i] for i in rng.permutation(len(names))]
    sizes = {"train": config.people, "validation": 24, "test": 24}
    kinds = list(world.TEMPERAMENTS)
    people: dict[str, dict[str, tuple[str, str]]] = {}
    for split, size in sizes.items():
        chosen, order = order[:size], order[size:]
        people[split] = {}
        for number, name in enumerate(chosen):
            temperament = kinds[number % len(kinds)]
            job = world.JOBS[rng.integers(len(world.JOBS))]
            people[split][name] = (temperament, _one(world.TEMPERAMENTS[temperament], rng).format(job=job))
    return people


def best_accuracies(config: DramaConfig) -> dict[str, float]:
    """The Bayes rate of accuracy by what a model sees beside the line itself: the best that any model can reach, in expectation.

    `words` sees the line alone, `history` also all lines before, `personas` and `scene` also that clue beside the history, `no_history`
    both clues without the lines before, `clues` everything. Temperament, kind of scene and event are drawn independently and evenly, and
    the words of reactions are drawn without regard to the label, so that earlier lines tell of the last event and of nothing else.
    """
    cells = [
        ({"temperament": t, "scene": s, "event": e}, label_of(config.corpus, t, s, e))
        for t, s, e in product(world.TEMPERAMENTS, world.SCENES, world.EVENTS)
    ]
    labels = LABELS[config.corpus]
    calm, reactions = _shares(config)
    seen = {
        "words": (),
        "history": ("event",),
        "personas": ("event", "temperament"),
        "scene": ("event", "scene"),
        "no_history": ("temperament", "scene"),
        "clues": ("event", "temperament", "scene"),
    }
    rates = {}
    for name, known in seen.items():
        groups: dict[tuple[str, ...], Counter[str]] = {}
        for cell, label in cells:
            groups.setdefault(tuple(cell[k] for k in known), Counter())[label] += 1
        right = sum(max(counts.values()) for counts in groups.values()) / len(cells)
        rates[name] = calm + reactions * ((1 - config.noise) * right + config.noise / len(labels))
    return rates


def bounds(config: DramaConfig) -> dict[str, float]:
    """`best_without_clues` (history and words alone), `best_with_clues`, and the other rates of `best_accuracies`."""
    rates = best_accuracies(config)
    return {"best_without_clues": rates["history"], "best_with_clues": rates["clues"], **rates}


def _shares(config: DramaConfig) -> tuple[float, float]:
    """Expected share of lines that are openings or reports, and of reactions."""
    # After each event one or two people react, equally often.
    calm, reactions = 1 + config.events, 1.5 * config.events
    return calm / (calm + reactions), reactions / (calm + reactions)


def _drama(
    config: DramaConfig, split: str, number: int, people: Mapping[str, tuple[str, str]], seed: int
) -> tuple[Conversation, list[Beat], str]:
    rng = generator(seed, config.corpus, split, str(number))
    kind = list(world.SCENES)[number % len(world.SCENES)]
    names = _some(people, 2 + int(rng.integers(3)), rng)
    said: list[tuple[str, str, str]] = []
    why: list[Beat] = []

    def say(speaker: str, text: str, label: str, beat: Literal["opening", "report", "reaction"], event: str | None, odd: bool) -> None:
        said.append((speaker, text, label))
        why.append(Beat(beat, event, people[speaker][0], kind, odd))

    calm = world.CALM[config.corpus]
    say(_one(names, rng), _one(world.OPENINGS, rng), calm, "opening", None, False)
    for _ in range(config.events):
        event = _one(list(world.EVENTS), rng)
        reporter = _one(names, rng)
        say(reporter, _one(world.EVENTS[event], rng), calm, "report", event, False)
        others = [n for n in names if n != reporter]
        for _ in range(1 + int(rng.integers(2))):
            speaker = _one(others, rng)
            label = label_of(config.corpus, people[speaker][0], kind, event)
            odd = bool(rng.random() < config.noise)
            if odd:
                label = _one(LABELS[config.corpus], rng)
            say(speaker, _one(world.REACTIONS, rng), label, "reaction", event, odd)
    dialogue = str(number) if config.corpus == "meld" else _scene_id(split, number)
    lines = [
        Line(turn, str(turn) if config.corpus == "meld" else f"{dialogue}_u{turn + 1:03d}", speaker, text, label)
        for turn, (speaker, text, label) in enumerate(said)
    ]
    return Conversation(dialogue, config.corpus, split, tuple(lines)), why, _one(world.SCENES[kind], rng)


def _scene_id(split: str, number: int) -> str:
    """A scene of a season of its own for each side, as scene ids of EmoryNLP are unique over all sides."""
    return f"s{1 + SPLITS.index(split):02d}_e{1 + number // EPISODE:02d}_c{1 + number % EPISODE:02d}"


def _seeds(made: Dramas, seed: int) -> Iterator[Seed]:
    """Lines of train with a rationale: a reaction of each label, then a report and an opening, then reactions by turns again."""
    labels, count = made.labels, made.config.seeds
    if count < len(labels):
        raise RapportError(f"seeds {count}: every label wants one, so at least {len(labels)}")
    calm = world.CALM[made.config.corpus]
    wishes = [(label, "reaction") for label in labels] + [(calm, "report"), (calm, "opening")]
    wishes += [(labels[n % len(labels)], "reaction") for n in range(count)]
    rng = generator(seed, "seeds")
    train = [c for c in made.conversations if c.split == "train"]
    places = [(c, line) for c in (train[i] for i in rng.permutation(len(train))) for line in c.lines]
    taken: set[tuple[str, int]] = set()
    shown: Counter[object] = Counter()
    for label, kind in wishes[:count]:
        fitting = [
            (place, line, beat)
            for conversation, line in places
            if (beat := made.beats[key_of(conversation), line.turn]).kind == kind
            and line.label == label
            and not beat.odd
            and (place := (conversation.dialogue_id, line.turn)) not in taken
        ]
        if not fitting:
            raise RapportError(f"no {kind} of {label} is left in {len(train)} conversations: raise train, or lower seeds {count}")
        # The first of those that show what the fewest seeds show: few examples must tell much.
        place, line, beat = min(fitting, key=lambda f: sum(shown[part] for part in _parts(f[0], f[2])))
        taken.add(place)
        shown.update(_parts(place, beat))
        yield Seed(*place, line.line_id, label, rationale_for(line.speaker, beat, label))


def _parts(place: tuple[str, int], beat: Beat) -> tuple[object, ...]:
    """What a seed shows: its conversation, each clue, and what the event means where."""
    return place[0], beat.temperament, beat.scene, beat.event, (beat.scene, beat.event)


def _one(values: Sequence[str], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]


def _some(people: Mapping[str, tuple[str, str]], count: int, rng: np.random.Generator) -> list[str]:
    """Names with different first names, so that a reader can tell them apart by these."""
    names = list(people)
    chosen: dict[str, str] = {}
    for i in rng.permutation(len(names)):
        chosen.setdefault(names[i].split()[0], names[i])
        if len(chosen) == count:
            break
    return list(chosen.values())
