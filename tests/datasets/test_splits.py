import logging
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS, Utterance
from rapport.datasets.corpora import cremad, ravdess
from rapport.datasets.splits import SplitConfig, assign_splits, leak_report, side_of_sentence

RAVDESS_HELD_OUT = {"01", "09", "12", "17", "19"}
CREMAD_HELD_OUT = {1001, 1005, 1011, 1013, 1019, 1023, 1027, 1029, 1036, 1040, 1041, 1045, 1050, 1056, 1063, 1067, 1071, 1086, 1089}


def rows_of(corpus="mine", speakers=(), clips=3, **fields):
    return [
        Utterance(f"{corpus}/{s}-{i}", corpus, f"{s}-{i}.wav", speaker_id=f"{corpus}/{s}", emotion="sad", **fields)
        for s in speakers
        for i in range(clips)
    ]


def speakers_on(rows, split):
    return {r.speaker_id for r in rows if r.split == split}


@pytest.mark.parametrize(
    ("corpus", "speakers", "held_out"),
    [
        ("ravdess", [f"{i:02d}" for i in range(1, 25)], RAVDESS_HELD_OUT),
        ("cremad", [str(i) for i in range(1001, 1092)], {str(i) for i in CREMAD_HELD_OUT}),
    ],
)
def test_a_draw_with_seed_42_gives_the_published_actors_and_so_does_the_name(corpus, speakers, held_out):
    wanted = {f"{corpus}/{s}" for s in held_out}
    rows = rows_of(corpus, speakers, clips=2)
    for config in (SplitConfig(method="published"), SplitConfig(method="speaker", validation=0.2, test=0)):
        split = assign_splits(rows, config)
        assert speakers_on(split, "validation") == wanted
        assert speakers_on(split, "test") == set()
    assert set({"ravdess": ravdess, "cremad": cremad}[corpus].HELD_OUT["published"]["validation"]) == wanted


def test_part_of_a_corpus_takes_part_of_the_published_split():
    rows = assign_splits(rows_of("ravdess", [f"{i:02d}" for i in range(1, 13)]), SplitConfig(method="published"))
    assert speakers_on(rows, "validation") == {"ravdess/01", "ravdess/09", "ravdess/12"}


@pytest.mark.parametrize(
    ("config", "rows", "told"),
    [
        (SplitConfig(method="published", name="secret"), rows_of("ravdess", ["01"]), "'secret': corpus ravdess has published"),
        (SplitConfig(method="published"), rows_of("mine", ["01"]), "no published split"),
        (SplitConfig(method="published"), rows_of("ravdess", ["02"]), "none of the validation speakers"),
        (SplitConfig(method="listed", test_speakers=("mine/x",)), rows_of("mine", ["01"]), "none of the test speakers mine/x"),
        (SplitConfig(), rows_of("mine", ["a", "b"]), "only 1 speakers"),
        (SplitConfig(method="kfold", folds=5), rows_of("mine", ["a", "b"]), "split.folds 5"),
        (SplitConfig(), [Utterance("mine/1", "mine", "1.wav", emotion="sad")], "no speaker is known"),
        (SplitConfig(method="given"), rows_of("mine", ["a"]), "has split None"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(config, rows, told):
    with pytest.raises(RapportError, match=told):
        assign_splits(rows, config)


@given(
    st.sets(st.text("abcdefgh", min_size=1, max_size=4), min_size=4, max_size=30),
    st.integers(0, 3),
    st.floats(0.05, 0.3),
    st.floats(0.05, 0.3),
)
@settings(max_examples=40)
def test_no_speaker_is_on_two_sides_and_row_order_does_not_matter(speakers, seed, validation, test):
    rows = rows_of("mine", sorted(speakers), clips=2)
    config = SplitConfig(method="speaker", validation=validation, test=test, seed=seed)
    split = assign_splits(rows, config)
    assert [r.utterance_id for r in split] == [r.utterance_id for r in rows]
    assert leak_report(split)["speakers"]["shared_count"] == 0
    assert all(speakers_on(split, side) for side in SPLITS)
    backwards = assign_splits(rows[::-1], config)
    assert {r.utterance_id: r.split for r in backwards} == {r.utterance_id: r.split for r in split}


def test_every_speaker_is_tested_on_in_exactly_one_fold_with_an_inner_validation():
    rows = rows_of("mine", [f"{i:02d}" for i in range(1, 13)])
    tested: Counter[str | None] = Counter()
    for fold in range(4):
        split = assign_splits(rows, SplitConfig(method="kfold", folds=4, fold=fold, validation=0.15))
        tested.update(speakers_on(split, "test"))
        assert len(speakers_on(split, "test")) == 3
        assert len(speakers_on(split, "validation")) == 2
        assert leak_report(split)["clean"]
    assert tested == {f"mine/{i:02d}": 1 for i in range(1, 13)}


def test_listed_speakers_are_held_out_and_the_rest_trains():
    rows = rows_of("mine", ["a", "b", "c", "d"])
    split = assign_splits(rows, SplitConfig(method="listed", validation_speakers=("mine/a",), test_speakers=("mine/c",)))
    assert (speakers_on(split, "train"), speakers_on(split, "test")) == ({"mine/b", "mine/d"}, {"mine/c"})


def test_splits_that_the_corpus_gives_are_kept_unless_another_method_is_asked_for():
    rows = [r.with_split("test") for r in rows_of("mine", ["a", "b", "c", "d"])]
    assert {r.split for r in assign_splits(rows, SplitConfig())} == {"test"}
    assert {r.split for r in assign_splits(rows, SplitConfig(method="speaker"))} == set(SPLITS)


@pytest.mark.parametrize(("method", "side"), [("all_train", "train"), ("all_test", "test")])
def test_a_whole_corpus_can_be_one_side(method, side):
    assert {r.split for r in assign_splits(rows_of("mine", ["a"]), SplitConfig(method=method))} == {side}


@pytest.mark.parametrize("method", ["auto", "speaker", "kfold", "all_test"])
def test_noise_is_for_training_whatever_the_method(method):
    noise = [Utterance(f"musan/{i}", "musan", f"{i}.wav", emotion_raw="noise") for i in range(3)]
    assert {r.split for r in assign_splits(noise, SplitConfig(method=method))} == {"train"}


def test_a_dialogue_keeps_its_speakers_together():
    rows = [
        Utterance(f"mine/{d}-{s}", "mine", "x.wav", speaker_id=f"mine/{s}", dialogue_id=f"mine/{d}", emotion="sad")
        for d, s in [("d1", "a"), ("d1", "b"), ("d2", "b"), ("d2", "c"), ("d3", "d"), ("d4", "e"), ("d5", "f")]
    ]
    for seed in range(8):
        split = assign_splits(rows, SplitConfig(seed=seed, validation=0.2, test=0.2))
        assert leak_report(split)["clean"]
        assert len({r.split for r in split if r.dialogue_id in {"mine/d1", "mine/d2"}}) == 1


def test_sentences_are_kept_apart_when_asked_for():
    rows = [
        Utterance(f"mine/{s}-{t}", "mine", "x.wav", speaker_id=f"mine/{s}", text=text, emotion="sad")
        for s in range(12)
        for t, text in enumerate([f"Sentence {s // 2}.", f"sentence {s // 2}!"])
    ]
    apart = assign_splits(rows, SplitConfig(keep_together=("speaker_id", "text")))
    assert leak_report(apart, fixed_sentences=False)["clean"]
    by_speaker = [assign_splits(rows, SplitConfig(seed=seed)) for seed in range(4)]
    assert any(not leak_report(split, fixed_sentences=False)["clean"] for split in by_speaker)
    assert all(leak_report(split, fixed_sentences=True)["clean"] for split in by_speaker)


def test_a_split_by_utterance_must_be_asked_for_warns_and_is_reported_as_a_leak(caplog):
    rows = rows_of("mine", ["a", "b", "c"], clips=20)
    with caplog.at_level(logging.WARNING):
        split = assign_splits(rows, SplitConfig(method="random_utterance"))
    assert "speakers fall on both sides" in caplog.text
    report = leak_report(split)
    assert not report["clean"]
    assert set(report["speakers"]["shared"]) == {"mine/a", "mine/b", "mine/c"}


def test_a_few_unknown_speakers_are_groups_of_their_own_with_a_warning(caplog):
    rows = rows_of("mine", ["a", "b", "c", "d", "e"])
    rows[0] = replace(rows[0], speaker_id=None)
    with caplog.at_level(logging.WARNING):
        assign_splits(rows, SplitConfig())
    assert "1 of 15 rows tell no speaker" in caplog.text


def test_the_same_recording_on_two_sides_is_a_leak():
    rows = assign_splits(rows_of("mine", ["a", "b", "c", "d"], clips=1), SplitConfig())
    hashes = {r.utterance_id: "same" if r.speaker_id in {"mine/a", "mine/b", "mine/c"} else "other" for r in rows}
    report = leak_report(rows, hashes)
    assert not report["clean"]
    assert set(report["contents"]["shared"]) == {"same"}


def test_fixed_sentences_of_a_known_corpus_are_reported_but_are_no_leak():
    rows = assign_splits(rows_of("ravdess", [f"{i:02d}" for i in range(1, 25)], text="Kids are talking by the door"), SplitConfig())
    report = leak_report(rows)
    assert report["clean"]
    assert report["sentences"]["shared_count"] == 1
    assert report["sentences"]["informational"]


@pytest.mark.parametrize(
    "fields", [{"validation": 0.5, "test": 0.5}, {"fold": 5, "folds": 5}, {"test_speakers": ("a",), "validation_speakers": ("a",)}]
)
def test_settings_that_contradict_each_other_are_refused(fields):
    with pytest.raises(ValidationError):
        SplitConfig.model_validate(fields)


def test_folds_spread_both_sexes() -> None:
    rows = [
        replace(row, gender="female" if int(row.speaker_id[-2:]) % 2 else "male")
        for row in rows_of("mine", [f"{i:02d}" for i in range(1, 13)])
    ]
    for fold in range(6):
        tested = [r for r in assign_splits(rows, SplitConfig(method="kfold", folds=6, fold=fold, validation=0)) if r.split == "test"]
        assert {r.gender for r in tested} == {"female", "male"}


def spoken_by_all(speakers, sentences):
    return [
        Utterance(f"mine/{s}-{t}", "mine", "x.wav", speaker_id=f"mine/{s}", text=f"Sentence number {t}.", emotion="sad")
        for s in range(speakers)
        for t in range(sentences)
    ]


def test_speakers_and_sentences_are_held_out_at_once_and_rows_that_cross_are_left_out_and_counted():
    rows = spoken_by_all(10, 100)
    split = assign_splits(rows, SplitConfig(method="speaker_and_sentence"))
    report = leak_report(split, fixed_sentences=False)
    assert report["clean"]
    assert set(report["counts"]) == {*SPLITS, "left_out"}
    assert [r.utterance_id for r in split] == [r.utterance_id for r in rows]
    assert len(speakers_on(split, "test")) == 2
    tested = {r.text for r in split if r.split == "test"}
    assert 10 <= len(tested) <= 30
    assert report["counts"]["test"] == 2 * len(tested), "every test speaker is heard with every test sentence"


def test_a_split_with_rows_left_out_is_kept_as_it_is_when_asked_for_again():
    split = assign_splits(spoken_by_all(10, 40), SplitConfig(method="speaker_and_sentence"))
    assert assign_splits(split, SplitConfig()) == split
    assert assign_splits(split, SplitConfig(method="given")) == split


def test_the_side_of_a_sentence_is_the_same_in_every_corpus_and_larger_shares_only_add():
    texts = [f"Sentence number {t}." for t in range(200)]
    sides = [side_of_sentence(t, 0.1, 0.2) for t in texts]
    assert sides == [side_of_sentence(t.upper().rstrip("."), 0.1, 0.2) for t in texts]
    assert 20 <= sides.count("test") <= 60
    assert all(side_of_sentence(t, 0.1, 0.3) == "test" for t, side in zip(texts, sides, strict=True) if side == "test")
    assert sides != [side_of_sentence(t, 0.1, 0.2, seed=1) for t in texts]


def test_shares_of_sentences_may_differ_from_shares_of_speakers():
    config = SplitConfig(method="speaker_and_sentence", validation_sentences=0.05, test_sentences=0.05)
    counts = leak_report(assign_splits(spoken_by_all(10, 400), config))["counts"]
    assert counts["train"] > 0.85 * 7 * 400


def test_too_few_sentences_to_hold_any_out_say_what_to_change():
    with pytest.raises(RapportError, match=r"raise split.(test|validation)_sentences, choose another split.seed"):
        assign_splits(spoken_by_all(10, 1), SplitConfig(method="speaker_and_sentence"))


def test_a_published_partition_may_divide_the_recordings_of_every_speaker():
    rows = [
        Utterance(f"esd/0011_{n:06d}", "esd", f"0011/Angry/0011_{n:06d}.wav", speaker_id="esd/0011", emotion="angry")
        for n in range(351, 701)
    ]
    split = assign_splits(rows, SplitConfig(method="published", name="official"))
    assert Counter(r.split for r in split) == {"train": 300, "validation": 20, "test": 30}
    with pytest.raises(RapportError, match="corpus esd has official"):
        assign_splits(rows, SplitConfig(method="published", name="secret"))
