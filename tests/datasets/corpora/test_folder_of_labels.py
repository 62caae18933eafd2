import pytest

from rapport.core.errors import RapportError
from rapport.datasets.corpora import folder_of_labels


def scan_of(tmp_path, *names, **options):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder_of_labels.scan(str(tmp_path), folder_of_labels.Options(**options))


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("angry/1.wav", "angry"),
        ("Anger/1.WAV", "angry"),
        ("anna/JOY/take 1/1.m4a", "happy"),
        ("sad/happy/1.ogg", "happy"),
        ("fear/session 2/1.mp3", "fearful"),
        ("pleasant_surprise/1.flac", "surprised"),
    ],
)
def test_the_nearest_folder_that_is_a_label_names_the_emotion(tmp_path, name, emotion):
    (row,) = scan_of(tmp_path, name).rows
    assert row.emotion == emotion
    assert row.utterance_id == f"own/{name}"
    assert row.speaker_id is None


def test_a_label_map_adds_labels_overrides_them_and_leaves_some_out(tmp_path):
    scan = scan_of(
        tmp_path, "wut/1.wav", "happy/2.wav", "other/3.wav", corpus="mine", label_map={"Wut": "angry", "happy": "excited", "other": None}
    )
    assert [(r.utterance_id, r.emotion, r.emotion_raw) for r in scan.rows] == [
        ("mine/happy/2.wav", "excited", "happy"),
        ("mine/wut/1.wav", "angry", "wut"),
    ]
    assert scan.left_out == {"other": 1}


def test_the_speaker_is_found_in_the_path_and_a_file_without_one_is_rejected(tmp_path):
    names = ("angry/anna_1.wav", "happy/ben_1.wav", "sad/3.wav")
    for pattern in (r"/([a-z]+)_", r"/(?P<speaker>[a-z]+)_(\d)"):
        scan = scan_of(tmp_path, *names, speaker=pattern)
        assert [r.speaker_id for r in scan.rows] == ["own/anna", "own/ben"]
        assert [r.reason for r in scan.rejected] == ["no_speaker"]


def test_a_folder_that_is_no_label_is_named_with_the_option_to_set(tmp_path):
    scan = scan_of(tmp_path, "angry/1.wav", "gleeful/2.wav")
    assert "gleeful" in scan.rejected[0].message
    assert "label_map" in scan.rejected[0].message


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"speaker": "("}, "no regular expression"),
        ({"speaker": "anna"}, "no group"),
        ({"label_map": {"wut": "angri"}}, "did you mean 'angry'"),
    ],
)
def test_an_option_that_cannot_be_used_is_explained(tmp_path, options, told):
    with pytest.raises(RapportError, match=told):
        scan_of(tmp_path, "angry/1.wav", **options)
