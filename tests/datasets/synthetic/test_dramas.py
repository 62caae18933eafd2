"""Made conversations need their clues: what a model can reach without them is computed, and counted on what is made."""

from collections import Counter

import numpy as np
import pytest

from rapport.core.conversations import LABELS, Conversation, Line
from rapport.core.errors import RapportError
from rapport.datasets.conversations.records import Conversations, key_of
from rapport.datasets.conversations.seeds import check_seeds
from rapport.datasets.conversations.text import words_of
from rapport.datasets.synthetic import drama_world as world
from rapport.datasets.synthetic.drama_reasons import label_of
from rapport.datasets.synthetic.dramas import DramaConfig, Dramas, best_accuracies, bounds, cast, make_dramas

CORPORA = ("meld", "emorynlp")


@pytest.fixture(scope="module", params=CORPORA)
def made(request: pytest.FixtureRequest) -> Dramas:
    return make_dramas(DramaConfig(corpus=request.param, train=400, validation=60, test=200), seed=5)


def lines_of(made: Dramas, split: str) -> list[tuple[Conversation, Line]]:
    return [(c, line) for c in made.conversations if c.split == split for line in c.lines]


def seen_by(made: Dramas, conversation: Conversation, line: Line) -> dict[str, str]:
    """What a reader can know, taken from the texts alone and not from the maker's notes."""
    persona = made.clues.personas[line.speaker]
    scene = made.clues.scenes[key_of(conversation)]
    reports = {text: event for event, texts in world.EVENTS.items() for text in texts}
    events = [reports[x.text] for x in conversation.lines[: line.turn] if x.text in reports]
    temperaments = {text.format(job=job): kind for kind, texts in world.TEMPERAMENTS.items() for text in texts for job in world.JOBS}
    kinds = {text: kind for kind, texts in world.SCENES.items() for text in texts}
    return {"persona": temperaments[persona], "scene": kinds[scene], "event": events[-1] if events else "none"}


def lookup_accuracy(made: Dramas, known: tuple[str, ...]) -> float:
    """Accuracy on test of the most frequent label of train, given what is known."""
    tables: dict[tuple[str, ...], Counter[str]] = {}
    # Whether a line reacts is told by its words, of which there are too many to count each with all clues.
    texts = set(world.REACTIONS)

    def key(conversation: Conversation, line: Line) -> tuple[str, ...]:
        seen = seen_by(made, conversation, line)
        return ("reaction", *(seen[k] for k in known)) if line.text in texts else ("calm",)

    for conversation, line in lines_of(made, "train"):
        tables.setdefault(key(conversation, line), Counter())[str(line.label)] += 1
    asked = lines_of(made, "test")
    right = sum(tables[k].most_common(1)[0][0] == line.label for c, line in asked if (k := key(c, line)) in tables)
    return right / len(asked)


def test_a_lookup_with_all_clues_reaches_the_bound_and_one_without_stays_below_it(made: Dramas) -> None:
    best = bounds(made.config)
    assert best["best_with_clues"] - best["best_without_clues"] > 0.35
    with_clues = lookup_accuracy(made, ("persona", "scene", "event"))
    assert with_clues > best["best_with_clues"] - 0.04
    # The share of lines that react differs a little from test to test side.
    slack = 0.03
    for known, name in (
        ((), "words"),
        (("event",), "history"),
        (("persona", "event"), "personas"),
        (("scene", "event"), "scene"),
        (("persona", "scene"), "no_history"),
    ):
        assert lookup_accuracy(made, known) < best[name] + slack


def test_words_alone_tell_a_linear_model_no_more_than_the_bound(made: Dramas) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    def texts(split: str) -> tuple[list[str], list[str]]:
        lines = lines_of(made, split)
        # The line, who says it, and the three lines before.
        context = [" ".join(x.text for x in c.lines[max(0, line.turn - 3) : line.turn]) for c, line in lines]
        given = [f"{line.text} {line.speaker} {before}" for (_, line), before in zip(lines, context, strict=True)]
        return given, [str(line.label) for _, line in lines]

    given, labels = texts("train")
    vectors = TfidfVectorizer(ngram_range=(1, 2))
    model = LogisticRegression(max_iter=200).fit(vectors.fit_transform(given), labels)
    asked, gold = texts("test")
    accuracy = float(np.mean(model.predict(vectors.transform(asked)) == np.array(gold)))
    best = bounds(made.config)
    assert accuracy < best["best_without_clues"] + 0.03 < best["best_with_clues"] - 0.3


def test_the_bounds_are_those_of_a_count_over_the_whole_world() -> None:
    config = DramaConfig(noise=0, events=2)
    rates = best_accuracies(config)
    # 3 of 6 lines react; without scene or temperament no more than 3 of 16 cells agree.
    assert rates["history"] == pytest.approx(0.5 + 0.5 * 3 / 16)
    assert rates["clues"] == 1
    assert rates["words"] == rates["history"] < rates["personas"] < rates["clues"]
    assert rates["history"] < rates["scene"] < rates["clues"] > rates["no_history"]


@pytest.mark.parametrize("corpus", CORPORA)
def test_the_tables_are_even(corpus: str) -> None:
    for scene, row in world.MEANING.items():
        assert sorted(row.values()) == sorted(world.MEANINGS), scene
    for event in world.EVENTS:
        assert sorted(row[event] for row in world.MEANING.values()) == sorted(world.MEANINGS)
    cells = Counter(label for row in world.FEELING[corpus].values() for label in row.values())
    assert set(cells) == set(LABELS[corpus])
    assert max(cells.values()) == 3


def test_every_reaction_has_the_label_that_the_clues_before_it_decide(made: Dramas) -> None:
    odd = 0
    for conversation in made.conversations:
        for line in conversation.lines:
            beat = made.beats[key_of(conversation), line.turn]
            if beat.kind != "reaction":
                assert line.label == world.CALM[conversation.corpus]
            elif beat.odd:
                odd += 1
            else:
                assert beat.event == seen_by(made, conversation, line)["event"]
                assert line.label == label_of(conversation.corpus, beat.temperament, beat.scene, str(beat.event))
    assert 0 < odd < 0.04 * sum(len(c.lines) for c in made.conversations)


def test_nobody_appears_on_two_sides_and_no_word_of_a_name_is_new_later(made: Dramas) -> None:
    people = {split: set(side) for split, side in cast(made.config, 5).items()}
    assert not people["train"] & people["test"]
    assert not people["validation"] & (people["test"] | people["train"])
    words = {split: {w for name in names for w in name.split()} for split, names in people.items()}
    assert words["test"] | words["validation"] <= words["train"]
    speakers = Counter(line.speaker for _, line in lines_of(made, "train"))
    assert min(speakers.values()) > 5, "people recur"


def test_the_vocabulary_is_small(made: Dramas) -> None:
    texts = [line.text for c in made.conversations for line in c.lines]
    texts += [line.speaker for c in made.conversations for line in c.lines]
    texts += [*made.clues.personas.values(), *made.clues.scenes.values(), *(s.rationale for s in made.seeds)]
    assert 150 < len({w for text in texts for w in words_of(text)}) < 350


def test_seeds_cover_all_labels_and_name_the_clues_before_the_label(made: Dramas) -> None:
    found = Conversations(made.config.corpus, made.labels, made.conversations)
    check_seeds(made.seeds, found)
    assert len(made.seeds) == 10
    assert len({s.dialogue_id for s in made.seeds}) == 10
    reactions = [s for s in made.seeds if made.beats[f"train/{s.dialogue_id}", s.turn].kind == "reaction"]
    assert len(reactions) == 8
    for seed in reactions:
        beat = made.beats[f"train/{seed.dialogue_id}", seed.turn]
        before = seed.rationale.partition("<")[0]
        assert beat.scene in before
        assert world.NAMES_OF_EVENTS[str(beat.event)] in before
        assert world.TRAITS[beat.temperament] in before
        assert seed.rationale.count("<") == 1


def test_the_same_seed_gives_the_same_conversations_whatever_their_number() -> None:
    few, more, other = (make_dramas(DramaConfig(train=n, validation=4, test=4), seed) for n, seed in ((60, 1), (70, 1), (60, 2)))
    assert few.conversations[:60] == more.conversations[:60]
    assert few.conversations != other.conversations
    assert few.clues.digest != other.clues.digest
    assert few.clues.digest == make_dramas(few.config, 1).clues.digest


def test_too_few_seeds_or_conversations_are_told() -> None:
    with pytest.raises(RapportError, match="seeds 3: every label wants one"):
        make_dramas(DramaConfig(seeds=3, train=50, validation=1, test=1), 0)
    with pytest.raises(RapportError, match="raise train"):
        make_dramas(DramaConfig(train=1, validation=1, test=1), 0)
