from collections import Counter
from dataclasses import replace

import pytest

from rapport.core.errors import RapportError
from rapport.core.schema import LEFT_OUT, Utterance
from rapport.datasets.emosds import splits
from rapport.datasets.emosds.build import dialogue_examples, emotion_examples
from tests.toy_emosds import EMOTIONS, esd_rows, librispeech_rows, scenarios

SHARES = (0.1, 0.1)


def sides(rows: list[Utterance], field: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.split != LEFT_OUT:
            found.setdefault(str(getattr(row, field)).lower(), set()).add(str(row.split))
    return found


def test_no_speaker_and_no_sentence_is_on_two_sides_of_any_corpus():
    rows = splits.disjoint_sides([*librispeech_rows(), *esd_rows(sentences=60)], shares=SHARES)
    for field in ("speaker_id", "text"):
        assert all(len(found) == 1 for found in sides(rows, field).values())
    assert {row.split for row in rows} == {"train", "validation", "test", LEFT_OUT}


def test_sentences_of_one_speaker_go_where_the_speaker_goes():
    rows = librispeech_rows(shared=0)
    assert splits.disjoint_sides(rows, shares=SHARES) == rows


def test_most_rows_of_the_training_speakers_stay():
    rows = esd_rows(sentences=350)
    counts = Counter(row.split for row in splits.disjoint_sides(rows, shares=SHARES))
    assert counts["train"] > 0.7 * 14_000
    assert 100 < counts["test"] < 300
    assert 100 < counts["validation"] < 300


def test_sentences_that_everybody_says_are_not_told_apart():
    rows = esd_rows(sentences=2)
    assert splits.disjoint_sides(rows, shares=SHARES, fixed={"esd"}) == rows


def test_rows_without_words_are_no_shared_sentence():
    rows = [replace(row, text=None) for row in esd_rows(sentences=2)]
    assert len({row.split for row in rows}) > 1
    assert splits.disjoint_sides(rows, shares=SHARES) == rows


def test_a_speaker_on_two_sides_is_refused():
    rows = [replace(row, split=("train", "test")[i % 2]) for i, row in enumerate(esd_rows(speakers=1, sentences=3))]
    with pytest.raises(RapportError, match=r"esd/0000.*sides given"):
        splits.disjoint_sides(rows, shares=SHARES)


def test_a_dialogue_lies_on_one_side_even_on_sentences_that_all_share():
    examples, _ = dialogue_examples(esd_rows(sentences=12), scenarios(12), EMOTIONS)
    found = splits.disjoint_dialogues(examples, shares=(0.2, 0.3))
    where: dict[str, set[str]] = {}
    for example in found:
        where.setdefault(splits.scenario_of(example.dialogue_id or ""), set()).add(example.split)
    assert all(len(s) == 1 for s in where.values())
    assert {e.split for e in found} == {"train", "validation", "test"}
    assert len(where) == 12


def test_published_stage_2_has_the_published_numbers():
    examples = emotion_examples(esd_rows(), EMOTIONS)
    found = splits.upstream_by_emotion(examples, EMOTIONS)
    assert Counter(e.split for e in found) == {"train": 17_300, "validation": 100, "test": 100}
    assert Counter(e.emotion for e in found if e.split == "train") == dict.fromkeys(EMOTIONS, 3460)
    assert len({e.example_id for e in found}) == 17_500


def test_published_stage_2_spares_nine_where_rows_are_few():
    found = splits.upstream_by_emotion(emotion_examples(esd_rows(1, 15), EMOTIONS), EMOTIONS)
    assert Counter(e.split for e in found if e.emotion == "sad") == {"test": 6, "validation": 9}


def test_published_stage_1_holds_out_a_hundred():
    examples = emotion_examples(esd_rows(3, 50), EMOTIONS)
    assert Counter(e.split for e in splits.upstream_rows(examples)) == {"train": 650, "validation": 100}
    published = splits.upstream_rows(examples[:1] * 28_539)
    assert Counter(e.split for e in published) == {"train": 28_439, "validation": 100}


def test_published_stage_3_trains_on_dialogues_that_are_not_held_out():
    examples, _ = dialogue_examples(esd_rows(), scenarios(), EMOTIONS)
    found = splits.upstream_dialogues(examples, EMOTIONS)
    counts = Counter(e.split for e in found)
    assert counts["test"] == counts["validation"] == 250
    held_out = {e.dialogue_id for e in found if e.split != "train"}
    trained = [e for e in found if e.split == "train"]
    assert not held_out & {e.dialogue_id for e in trained}
    assert len(trained) == sum(e.dialogue_id not in held_out for e in examples)


def test_the_published_fault_loses_half_of_stage_3():
    examples, _ = dialogue_examples(esd_rows(), scenarios(), EMOTIONS)
    whole = splits.upstream_dialogues(examples, EMOTIONS)
    lossy = splits.upstream_dialogues(examples, EMOTIONS, shrinking=True)

    def trained(rows):
        return {e.example_id for e in rows if e.split == "train"}

    assert trained(lossy) < trained(whole)
    assert 0.4 < len(trained(lossy)) / len(trained(whole)) < 0.75


def test_the_published_splits_are_seen_to_leak_and_ours_are_not():
    rows = esd_rows(sentences=60)
    examples = emotion_examples(rows, EMOTIONS)
    published = splits.leaks(splits.upstream_by_emotion(examples, EMOTIONS))
    assert not published["clean"]
    assert published["speakers"]["shared_count"] == 10
    assert published["sentences"]["shared_count"] > 40
    ours = [row for row in splits.disjoint_sides(rows, shares=SHARES) if row.split != LEFT_OUT]
    report = splits.leaks([*emotion_examples(ours, EMOTIONS), *dialogue_examples(ours, scenarios(60), EMOTIONS)[0]])
    assert report["clean"]
    assert report["dialogues"]["distinct"] > 0


def test_a_recording_in_two_stages_on_two_sides_is_a_leak():
    examples = [e for e in emotion_examples(esd_rows(3, 5), EMOTIONS) if e.split == "train"]
    other = [replace(e, stage=3, split="test", speaker_id=None, text=f"other {i}") for i, e in enumerate(examples)]
    report = splits.leaks([*examples, *other])
    assert report["recordings"]["shared_count"] == 25


def test_limits_are_drawn_by_group():
    examples = emotion_examples(esd_rows(4, 20), EMOTIONS)
    found = splits.capped(examples, {"train": 7, "test": None}, 1, lambda e: e.emotion)
    counts = Counter((e.split, e.emotion) for e in found)
    assert {counts["train", emotion] for emotion in EMOTIONS} == {7}
    assert {counts["test", emotion] for emotion in EMOTIONS} == {20}
    assert found == [e for e in examples if e in found]


def test_variants_of_a_dialogue_are_drawn_together():
    examples, _ = dialogue_examples(esd_rows(4, 40), scenarios(40), EMOTIONS)
    found = splits.capped(examples, {"train": 5, "test": 6}, 1, lambda e: e.emotion, splits.told_alike)
    assert set(Counter(splits.told_alike(e) for e in found).values()) == {2}
    counts = Counter((e.split, e.emotion) for e in found)
    assert {count for (split, _), count in counts.items() if split == "test"} <= {4, 5, 6}
    assert max(count for (split, _), count in counts.items() if split == "train") == 5
