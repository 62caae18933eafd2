"""What every corpus plug-in promises, checked on the example that it writes itself."""

from collections import Counter

import pytest
import soundfile

from rapport.core import plugins
from rapport.core.config import Config
from rapport.core.emotions import EMOTIONS
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS, from_table, to_table
from rapport.datasets.card import read_card
from rapport.datasets.scan import AUDIO_SUFFIXES, Scan

CORPORA = plugins.available("datasets.corpora")


@pytest.fixture(params=CORPORA)
def corpus(request):
    return plugins.load("datasets.corpora", request.param)


@pytest.fixture
def example(corpus, tmp_path):
    corpus.write_example(tmp_path)
    return tmp_path


def name_of(corpus):
    return corpus.__name__.rsplit(".", 1)[-1]


def test_there_are_the_corpora_that_the_readme_names():
    named = {"ravdess", "cremad", "musan", "emodb", "esd", "librispeech", "fsdd", "ljspeech", "folder_of_labels", "csv"}
    assert named <= set(CORPORA)


def test_options_are_configuration_whose_defaults_work(corpus):
    assert issubclass(corpus.Options, Config)
    corpus.Options()


def test_every_example_clip_becomes_one_row_and_decodes(corpus, example):
    scan = corpus.scan(str(example), corpus.Options())
    clips = [p for p in example.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES]
    assert isinstance(scan, Scan)
    assert len(scan.rows) == len(clips) >= 3
    assert not scan.rejected
    assert not scan.duplicates
    assert not scan.left_out
    for row in scan.rows:
        assert soundfile.info(row.audio_path).frames > 0


def test_rows_keep_the_row_contract(corpus, example):
    rows = corpus.scan(str(example), corpus.Options()).rows
    assert max(Counter(r.utterance_id for r in rows).values()) == 1
    for row in rows:
        assert row.utterance_id.startswith(f"{row.corpus}/")
        assert row.emotion is None or row.emotion in EMOTIONS
        assert row.emotion is None or row.emotion_raw
        assert row.speaker_id is None or row.speaker_id.startswith(f"{row.corpus}/")
        assert row.gender in {None, "female", "male"}
        assert row.split is None or row.split in SPLITS
        assert row.duration_s is None, "a scan opens no audio"
    assert from_table(to_table(rows)) == rows


def test_scanning_twice_gives_the_same_rows_in_the_same_order(corpus, example):
    first, second = (corpus.scan(str(example), corpus.Options()) for _ in range(2))
    assert first == second
    assert [r.utterance_id for r in first.rows] == sorted(r.utterance_id for r in first.rows)


def test_ids_do_not_depend_on_where_the_corpus_lies(corpus, tmp_path):
    for folder in ("here", "there/deeper"):
        (tmp_path / folder).mkdir(parents=True)
        corpus.write_example(tmp_path / folder)
    ids = [[r.utterance_id for r in corpus.scan(str(tmp_path / f), corpus.Options()).rows] for f in ("here", "there/deeper")]
    assert ids[0] == ids[1]


def test_a_file_uri_scans_like_the_path(corpus, example):
    by_path = corpus.scan(str(example), corpus.Options()).rows
    by_uri = corpus.scan(f"file://{example}", corpus.Options()).rows
    assert [r.utterance_id for r in by_uri] == [r.utterance_id for r in by_path]


def test_an_empty_folder_is_an_error_that_names_it_and_says_what_was_wanted(corpus, tmp_path):
    with pytest.raises(RapportError) as caught:
        corpus.scan(str(tmp_path), corpus.Options())
    assert str(tmp_path) in str(caught.value)


def test_a_folder_that_does_not_exist_is_an_error(corpus, tmp_path):
    with pytest.raises(RapportError):
        corpus.scan(str(tmp_path / "nowhere"), corpus.Options())


def test_the_card_has_licence_source_citation_and_label_map(corpus):
    card = read_card(name_of(corpus))
    assert card.licence
    assert card.source
    assert card.citation
    assert set(card.label_map.values()) <= set(EMOTIONS)
    assert not card.expected.emotions or sum(card.expected.emotions.values()) == card.expected.utterances


def test_rows_carry_the_label_that_the_card_maps(corpus, example):
    labels = read_card(name_of(corpus)).label_map
    for row in corpus.scan(str(example), corpus.Options()).rows:
        assert row.emotion == labels.get(row.emotion_raw)


def test_published_splits_name_sides_and_speakers_of_the_corpus(corpus):
    for sides in corpus.HELD_OUT.values():
        assert set(sides) <= {"validation", "test"}
        speakers = [s for side in sides.values() for s in side]
        assert len(set(speakers)) == len(speakers) > 0
        assert all(s.startswith(f"{name_of(corpus)}/") for s in speakers)


def test_published_partitions_tell_the_side_of_every_row(corpus, example):
    rows = corpus.scan(str(example), corpus.Options()).rows
    for side_of in getattr(corpus, "PARTITIONS", {}).values():
        assert {side_of(row) for row in rows} <= set(SPLITS)


def test_the_module_tells_source_licence_and_layout(corpus):
    assert "icence" in corpus.__doc__ or "CC BY" in corpus.__doc__ or "ODbL" in corpus.__doc__ or "free to use" in corpus.__doc__
