"""What a reader brings along to made dramas: the facts of their world, and what is plain to see in a conversation.

A published language model knows that rain is luck on a dry farm, and can tell from a page who is hot tempered and what happened last. One
that learns from nothing reads it here. What somebody feels in a conversation stands nowhere: that is left to reasoning.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from rapport.datasets.conversations.knowledge import Known
from rapport.datasets.conversations.records import key_of
from rapport.datasets.synthetic import drama_world as world
from rapport.datasets.synthetic.drama_reasons import Beat, event_of, feeling_of, label_of, meaning_of, rationale_for, seen_in, trait_of
from rapport.datasets.synthetic.dramas import Dramas
from rapport.datasets.synthetic.seeds import generator

FACTS = 4
"""Facts in a text."""


def knowledge_of(made: Dramas, seed: int) -> Iterator[Known]:
    """`config.facts` texts of facts, `config.casts` of who is what, then a text for each line of train. The same seed gives the same."""
    rng = generator(seed, "knowledge")
    train = [conversation for conversation in made.conversations if conversation.split == "train"]
    names = sorted({line.speaker for conversation in train for line in conversation.lines})
    for _ in range(made.config.facts):
        yield Known("\n".join(_fact(made.config.corpus, names, rng) for _ in range(FACTS)))
    for _ in range(made.config.casts):
        yield Known(_cast(names, rng))
    for conversation in train:
        for line in conversation.lines:
            beat = made.beats[key_of(conversation), line.turn]
            trait = f" {trait_of(line.speaker, beat)}." if beat.kind == "reaction" else ""
            yield Known(f"{seen_in(line.speaker, beat)}{trait}", conversation.dialogue_id, line.line_id)


def _fact(corpus: str, names: Sequence[str], rng: np.random.Generator) -> str:
    """One fact: of a kind of scene, an event, a temperament, what an event means where, how such people take what, or what is calm."""
    one = partial(_one, rng)
    name, scene, event, temperament = one(names), one(list(world.SCENES)), one(list(world.EVENTS)), one(list(world.TEMPERAMENTS))
    beat = Beat("reaction", event, temperament, scene)
    kind = int(rng.integers(6))
    if kind == 0:
        return f"SCENE: {one(world.SCENES[scene])}. The scene is the {scene}."
    if kind == 1:
        return f"{name}: {one(world.EVENTS[event])} The last event is {event_of(beat)}."
    if kind == 2:
        return f"{name}: {one(world.TEMPERAMENTS[temperament]).format(job=one(world.JOBS))}. {trait_of(name, beat)}."
    # What follows from what stands in the order in which it is reasoned: a small model that read it in another does not find the way.
    if kind == 3:
        return f"{seen_in(name, beat)} {meaning_of(beat)}"
    if kind == 4:
        label = label_of(corpus, temperament, scene, event)
        return f"{meaning_of(beat)} {feeling_of(name, beat, label)}\n<{label}>"
    calm = Beat("report" if rng.random() < 0.5 else "opening", event, temperament, scene)
    return rationale_for(name, calm, world.CALM[corpus])


def _cast(names: Sequence[str], rng: np.random.Generator) -> str:
    """Personas as a prompt tells them, then what each of these people is like in another order: practice in finding somebody's persona."""
    one = partial(_one, rng)
    chosen = [names[i] for i in rng.choice(len(names), size=int(rng.integers(2, 5)), replace=False)]
    temperaments = {name: one(list(world.TEMPERAMENTS)) for name in chosen}
    told = "\n".join(f"{name}: {one(world.TEMPERAMENTS[kind]).format(job=one(world.JOBS))}" for name, kind in temperaments.items())
    order = [chosen[i] for i in rng.permutation(len(chosen))]
    return f"PERSONAS:\n{told}\n" + " ".join(f"{name} is {world.TRAITS[temperaments[name]]}." for name in order)


def _one(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]
