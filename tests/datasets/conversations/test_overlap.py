"""What one corpus teaches of another's questions is found, refused or taken out."""

from pathlib import Path

import pytest

from rapport.core.conversations import LABELS, Conversation, Line
from rapport.datasets.conversations.overlap import overlaps, without_overlap
from rapport.datasets.conversations.records import Conversations

LONG = "Well, I’ve never seen it like that!"


def corpus(name: str, **sides: list[list[str]]) -> Conversations:
    conversations = [
        Conversation(f"{split[0]}{number}", name, split, tuple(Line(n, str(n), "A", text, LABELS[name][0]) for n, text in enumerate(texts)))
        for split, dialogues in sides.items()
        for number, texts in enumerate(dialogues)
    ]
    return Conversations(name, LABELS[name], conversations)


@pytest.fixture
def pair() -> list[Conversations]:
    one = corpus(
        "meld", train=[["Something that is only said in here."]], validation=[["Hm.", "well I've never seen IT like that", "Yes."]]
    )
    other = corpus("emorynlp", train=[["No.", LONG, "Hm."], ["Hm."], [LONG]], test=[["Something else that is only said here."]])
    return [one, other]


def test_shared_long_lines_are_counted_by_words_and_named(pair: list[Conversations]) -> None:
    there, back = overlaps(pair)
    assert (there.asked, there.trained, there.distinct, there.shared, there.share) == ("meld/validation", "emorynlp/train", 1, 1, 1.0)
    assert there.asked_lines == ("meld/validation/v0/1",)
    assert there.trained_lines == ("emorynlp/train/t0/1", "emorynlp/train/t2/0")
    assert (back.asked, back.shared) == ("emorynlp/test", 0)


def shared(corpora: list[Conversations]) -> int:
    return sum(overlap.shared for overlap in overlaps(corpora))


def test_nothing_is_shared_once_its_dialogues_are_taken_out(pair: list[Conversations]) -> None:
    assert str(overlaps(pair)[0]).startswith("1 of 1 long lines of meld/validation (100.0%) stand in emorynlp/train")
    kept, found = without_overlap(pair)
    assert [o.shared for o in found] == [1, 0]
    assert shared(kept) == 0
    assert kept[0] == pair[0], "what is asked about stays"
    assert [c.dialogue_id for c in kept[1].of("train")] == ["t1"]


def test_the_lines_alone_can_be_taken_out(pair: list[Conversations]) -> None:
    kept, _ = without_overlap(pair, "lines")
    assert shared(kept) == 0
    first, second = kept[1].of("train")
    assert [(line.turn, line.line_id, line.text) for line in first.lines] == [(0, "0", "No."), (1, "2", "Hm.")]
    assert second.dialogue_id == "t1"


def test_one_corpus_by_itself_overlaps_with_nothing(pair: list[Conversations]) -> None:
    assert overlaps(pair[:1]) == []


def test_the_real_corpora_share_scenes_and_are_disjoint_once_these_are_out(shared_data: Path) -> None:
    from rapport.datasets.conversations.corpora import emorynlp, meld

    if not all((shared_data / name).is_dir() for name in ("meld", "emorynlp")):
        pytest.skip("no MELD or EmoryNLP")
    real = [meld.read(str(shared_data / "meld")), emorynlp.read(str(shared_data / "emorynlp"))]
    shares = {(o.asked, o.trained): o.share for o in overlaps(real)}
    assert shares["meld/validation", "emorynlp/train"] == pytest.approx(0.076, abs=0.001)
    assert shares["emorynlp/validation", "meld/train"] == pytest.approx(0.203, abs=0.001)
    if real[0].of("test"):  # only where the test files are there: the specification's figure
        assert shares["meld/test", "emorynlp/train"] == pytest.approx(0.123, abs=0.01)
    kept, _ = without_overlap(real)
    assert shared(kept) == 0
    assert all(len(k.of("train")) > 0.9 * len(r.of("train")) for k, r in zip(kept, real, strict=True))
