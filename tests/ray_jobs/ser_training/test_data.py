from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.ser_training.data import HELD_OUT, Sources, build_data, describe, find_sources, select_rows, spread, told
from tests.toy_ser import EMOTIONS, prepare_toys, toy_settings


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("storage")
    prepare_toys(root)
    prepare_toys(root, range(1, 5), name="cremad")
    return root


def test_a_corpus_is_found_by_name_or_by_folder(root):
    by_name = find_sources(toy_settings(root))
    assert find_sources(toy_settings(root, corpora=by_name.corpora)) == by_name
    assert Path(by_name.corpora[0]).is_absolute()


def test_a_corpus_that_is_not_prepared_is_refused_with_the_command_to_do_it(root):
    with pytest.raises(RapportError, match=r"run python -m rapport\.ray_jobs\.prepare_corpus --corpus\.name emodb"):
        find_sources(toy_settings(root, corpora=["emodb"]))


def test_speakers_stay_on_their_side_and_labels_that_the_model_lacks_are_left_out(root):
    config = toy_settings(root, model={"emotions": ("neutral", "sad")})
    selection = select_rows(config, find_sources(config))
    sides = [{row.speaker_id for row in rows} for rows in (selection.train, selection.validation, selection.tests[HELD_OUT])]
    assert [len(side) for side in sides] == [4, 2, 2]
    assert not set.intersection(*sides)
    assert selection.excluded == {"happy": 16}


def test_another_split_needs_no_other_preparation(root):
    tested = set()
    for fold in range(4):
        config = toy_settings(root, split={"method": "kfold", "folds": 4, "fold": fold, "validation": 0.25})
        tested |= {row.speaker_id for row in select_rows(config, find_sources(config)).tests[HELD_OUT]}
    assert len(tested) == 8


def test_a_test_corpus_is_tested_on_as_a_whole_but_for_what_is_trained_on(root):
    config = toy_settings(root, test_corpora=["cremad", "ravdess"])
    selection = select_rows(config, find_sources(config))
    assert {name: len(rows) for name, rows in selection.tests.items()} == {HELD_OUT: 12, "cremad": 24, "ravdess": 12}
    assert selection.corpora == ("ravdess", "cremad")


def test_merged_corpora_are_split_each_on_its_own(root):
    config = toy_settings(root, corpora=["ravdess", "cremad"])
    facts = describe(select_rows(config, find_sources(config)), EMOTIONS)
    assert facts["clips"]["train"] == {"ravdess": 24, "cremad": 12}
    assert facts["clips"]["validation"] == {"ravdess": 12, "cremad": 6}
    assert facts["warnings"] == []
    assert next(told(facts)) == "train: 24 clips of ravdess, 12 clips of cremad"


def test_an_emotion_of_one_corpus_only_and_one_of_none_are_warned_of(root):
    config = toy_settings(root, corpora=["ravdess", "cremad"], model={"emotions": (*EMOTIONS, "calm")})
    selection = select_rows(config, find_sources(config))
    rows = [row for row in selection.train if not (row.corpus == "cremad" and row.emotion == "sad")]
    selection.train[:] = rows
    warnings = describe(selection, config.model.emotions)["warnings"]
    assert warnings == [
        "no training clip is calm: the model cannot learn it (model.emotions)",
        "sad occurs in ravdess alone: the model may tell it by how that corpus was recorded",
    ]


def test_speakers_on_both_sides_are_warned_of(root):
    config = toy_settings(root, split={"method": "random_utterance", "test": 0.3, "validation": 0.1})
    warnings = describe(select_rows(config, find_sources(config)), EMOTIONS)["warnings"]
    assert any("speakers lie on more than one side" in warning for warning in warnings)


def test_nothing_to_train_on_is_refused(root):
    config = toy_settings(root, split={"method": "all_test"})
    with pytest.raises(RapportError, match="nothing to train on"):
        select_rows(config, find_sources(config))


def test_validation_and_test_clips_are_whole_and_unchanged_but_for_silent_ends(root):
    config = toy_settings(root, augment={"gain": {"p": 1.0}})
    data = build_data(config, find_sources(config))
    assert data.augment is not None
    assert data.validation is not None
    clip = data.validation.load(data.validation.rows[0].utterance_id)
    batch = data.validation.batch([0])
    assert batch.waveforms[0, : len(clip)].numpy().tolist() == clip.tolist()


def test_sources_come_back_from_json():
    sources = Sources(("/a", "s3://b/c"), ("/d",), None)
    assert Sources.from_json({"corpora": ["/a", "s3://b/c"], "test_corpora": ["/d"], "noise": None}) == sources


def test_clips_to_normalise_by_are_taken_evenly(root):
    config = toy_settings(root)
    train = build_data(config, find_sources(config)).train
    assert len(list(spread(train, 10))) == 10
    assert len(list(spread(train, 1000))) == len(train)
