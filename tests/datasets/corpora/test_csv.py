import pytest

from rapport.core.errors import RapportError
from rapport.datasets.corpora import csv as table_corpus


def scan_of(tmp_path, text, *, encoding="utf-8", name="labels.csv", **options):
    (tmp_path / name).write_bytes(text.encode(encoding))
    return table_corpus.scan(str(tmp_path / name), table_corpus.Options(**options))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_delimiter_is_found_out_even_with_commas_in_the_text(tmp_path, delimiter, newline):
    lines = ["path,emotion,speaker,text", 'a.wav,angry,anna,"No, not; again|!"', 'b.wav,sad,ben,"Oh, well, then, so, it, is"']
    header, *rows = (line.replace(",", delimiter, 3) for line in lines)
    scan = scan_of(tmp_path, newline.join((header, *rows)), text_column="text")
    assert [(r.emotion, r.speaker_id, r.text) for r in scan.rows] == [
        ("angry", "own/anna", "No, not; again|!"),
        ("sad", "own/ben", "Oh, well, then, so, it, is"),
    ]


def test_a_byte_order_mark_and_quotes_and_line_breaks_in_cells_are_understood(tmp_path):
    text = 'path,emotion,speaker,text\r\n"a, take ""2"".wav",angry,anna,"one\ntwo"\r\n\r\n'
    (row,) = scan_of(tmp_path, text, encoding="utf-8-sig", text_column="text").rows
    assert row.utterance_id == 'own/a, take "2".wav'
    assert row.text == "one\ntwo"


def test_relative_paths_are_taken_from_the_table_and_others_kept(tmp_path):
    text = "path,emotion,speaker\nclips/a.wav,angry,anna\n/data/b.wav,angry,anna\ns3://bucket/c.wav,angry,anna\nclips\\d.wav,angry,anna\n"
    paths = [r.audio_path for r in scan_of(tmp_path, text).rows]
    assert sorted(paths) == sorted([str(tmp_path / "clips/a.wav"), "/data/b.wav", "s3://bucket/c.wav", str(tmp_path / "clips/d.wav")])


def test_the_root_may_be_the_folder_of_the_table(tmp_path):
    (tmp_path / "meta.csv").write_text("path,emotion,speaker\na.wav,angry,anna\n")
    assert len(table_corpus.scan(str(tmp_path), table_corpus.Options(table="meta.csv")).rows) == 1


def test_splits_genders_and_segments_are_read_when_their_columns_are_named(tmp_path):
    text = "file,label,who,part,sex,from,to\na.wav,joy,1,Dev,F,0.5,1.25\na.wav,joy,1,Training,m,2,\n"
    columns = {
        "path_column": "file",
        "label_column": "label",
        "speaker_column": "who",
        "split_column": "part",
        "gender_column": "sex",
        "start_column": "from",
        "end_column": "to",
    }
    rows = scan_of(tmp_path, text, **columns).rows
    assert [(r.utterance_id, r.split, r.gender, r.start_s, r.end_s) for r in rows] == [
        ("own/a.wav#0.5-1.25", "validation", "female", 0.5, 1.25),
        ("own/a.wav#2-", "train", "male", 2.0, None),
    ]


def test_an_empty_label_is_an_unlabelled_row_and_an_empty_speaker_an_unknown_one(tmp_path):
    (row,) = scan_of(tmp_path, "path,emotion,speaker\na.wav,,\n").rows
    assert (row.emotion, row.emotion_raw, row.speaker_id) == (None, None, None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (",angry,anna,train,0", 'line 3, column "path": empty'),
        ("b.wav,angri,anna,train,0", "line 3, column \"emotion\": 'angri' is no known label"),
        ("b.wav,angry,anna,all,1", "line 3, column \"part\": 'all' is not one of train, validation, test"),
        ("b.wav,angry,anna,train,nan", "line 3, column \"to\": 'nan' is no time"),
        ("b.wav,angry,anna,train,0", 'line 3, column "to": 0.0 s is not after the start'),
    ],
)
def test_a_bad_line_is_rejected_with_its_number_and_column(tmp_path, line, told):
    text = f"path,emotion,speaker,part,to\na.wav,angry,anna,train,1\n{line}\n"
    scan = scan_of(tmp_path, text, split_column="part", end_column="to")
    assert len(scan.rows) == 1
    (rejected,) = scan.rejected
    assert told in rejected.message
    assert rejected.path.endswith("labels.csv:3")


def test_a_recording_listed_twice_is_one_row_and_a_contradiction_is_named(tmp_path):
    scan = scan_of(tmp_path, "path,emotion,speaker\na.wav,angry,anna\na.wav,angry,anna\na.wav,sad,anna\n")
    assert [r.emotion for r in scan.rows] == ["angry"]
    assert scan.left_out == {"repeated line": 1}
    assert "line 4" in scan.rejected[0].message
    assert "than line 2, which is kept" in scan.rejected[0].message


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("file,emotion,speaker\na.wav,angry,anna\n", {}, 'no column "path"; the columns are file, emotion, speaker'),
        ("path,emotion\na.wav,angry\n", {}, 'no column "speaker"'),
        ("", {}, 'no column "path"'),
        ("path,emotion,speaker\n", {}, "no usable recording"),
        ("path,emotion,speaker\na.wav,angri,anna\n", {}, "angri"),
        ('path,emotion,speaker\n"a.wav,angry,anna\nb.wav,sad,ben\n', {}, "line 3: unexpected end of data; is a quote not closed"),
    ],
)
def test_a_table_that_cannot_be_used_is_explained(tmp_path, text, options, told):
    with pytest.raises(RapportError, match=told):
        scan_of(tmp_path, text, **options)


def test_a_table_that_is_not_utf8_says_where(tmp_path):
    with pytest.raises(RapportError, match="not UTF-8 at byte"):
        scan_of(tmp_path, "path,emotion,speaker\nä.wav,angry,anna\n", encoding="latin-1")


def test_a_column_set_to_null_is_not_wanted(tmp_path):
    assert len(scan_of(tmp_path, "path\na.wav\n", label_column=None, speaker_column=None).rows) == 1
