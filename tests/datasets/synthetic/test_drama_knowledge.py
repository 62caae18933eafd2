"""What is known of made dramas beforehand: facts and what is plain to see, never what somebody feels in a conversation."""

import pytest

from rapport.core.conversations import LABELS
from rapport.datasets.conversations.records import key_of
from rapport.datasets.synthetic import drama_world as world
from rapport.datasets.synthetic.drama_knowledge import knowledge_of
from rapport.datasets.synthetic.drama_reasons import meaning_of, rationale_for
from rapport.datasets.synthetic.dramas import DramaConfig, make_dramas

DRAMAS = make_dramas(DramaConfig(train=30, validation=4, test=4, facts=400, casts=50), 0)
KNOWN = list(knowledge_of(DRAMAS, 0))


def test_every_line_of_train_is_read_and_no_other():
    lines = {(c.dialogue_id, line.line_id) for c in DRAMAS.conversations if c.split == "train" for line in c.lines}
    read = [(k.dialogue_id, k.line_id) for k in KNOWN if k.dialogue_id is not None]
    assert len(read) == len(set(read))
    assert set(read) == lines


def test_what_is_read_holds_no_label():
    told = {label.casefold() for label in LABELS["meld"]}
    assert all(told.isdisjoint(k.text.casefold().replace(".", " ").split()) for k in KNOWN if k.dialogue_id is not None)


def test_what_is_read_is_how_the_reasons_begin():
    lines = {(c.dialogue_id, line.line_id): (c, line) for c in DRAMAS.conversations if c.split == "train" for line in c.lines}
    for known in KNOWN:
        if known.dialogue_id is not None and known.line_id is not None:
            conversation, line = lines[known.dialogue_id, known.line_id]
            beat = DRAMAS.beats[key_of(conversation), line.turn]
            first = known.text.split(". ")[0].removesuffix(".")
            assert rationale_for(line.speaker, beat, line.label or "").startswith(first)


def test_the_facts_tell_all_meanings_and_feelings():
    facts = " ".join(k.text for k in KNOWN if k.dialogue_id is None)
    assert all(meaning_of(beat) in facts for beat in DRAMAS.beats.values() if beat.event is not None)
    pairs = ((world.TRAITS[t], world.TOLD_AS[m], world.FEELING["meld"][m][t]) for m in world.MEANINGS for t in world.TEMPERAMENTS)
    assert all(f"is {trait}, and to such a person {meaning} feels {label}." in facts for trait, meaning, label in pairs)


def test_a_cast_tells_each_persona_and_then_what_that_person_is_like():
    casts = [k.text for k in KNOWN if k.text.startswith("PERSONAS:")]
    assert len(casts) == DRAMAS.config.casts
    kinds = {text.format(job=job): kind for kind, texts in world.TEMPERAMENTS.items() for text in texts for job in world.JOBS}
    for cast in casts:
        *personas, traits = cast.splitlines()[1:]
        told = {name: world.TRAITS[kinds[persona]] for name, persona in (line.split(": ") for line in personas)}
        assert dict(trait.split(" is ") for trait in traits.removesuffix(".").split(". ")) == told


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same(seed):
    assert list(knowledge_of(DRAMAS, seed)) == list(knowledge_of(DRAMAS, seed))
    assert (list(knowledge_of(DRAMAS, seed)) == KNOWN) == (seed == 0)
