import pytest

from rapport.core.errors import RapportError
from rapport.datasets.card import count_differences, read_card
from rapport.datasets.corpora import ravdess


def scan_of(tmp_path, *names, **options):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return ravdess.scan(str(tmp_path), ravdess.Options(**options))


@pytest.mark.parametrize(
    ("name", "emotion", "intensity", "speaker", "gender", "text"),
    [
        ("03-01-01-01-01-01-01", "neutral", "normal", "ravdess/01", "male", "Kids are talking by the door"),
        ("03-01-02-02-02-02-02", "calm", "strong", "ravdess/02", "female", "Dogs are sitting by the door"),
        ("03-01-03-01-01-02-11", "happy", "normal", "ravdess/11", "male", "Kids are talking by the door"),
        ("03-01-04-02-01-01-12", "sad", "strong", "ravdess/12", "female", "Kids are talking by the door"),
        ("03-01-05-01-02-01-23", "angry", "normal", "ravdess/23", "male", "Dogs are sitting by the door"),
        ("03-01-06-02-02-02-24", "fearful", "strong", "ravdess/24", "female", "Dogs are sitting by the door"),
        ("03-01-07-01-01-01-09", "disgust", "normal", "ravdess/09", "male", "Kids are talking by the door"),
        ("03-01-08-02-02-01-10", "surprised", "strong", "ravdess/10", "female", "Dogs are sitting by the door"),
    ],
)
def test_a_name_tells_emotion_intensity_speaker_and_sentence(tmp_path, name, emotion, intensity, speaker, gender, text):
    (row,) = scan_of(tmp_path, f"Actor_{name[-2:]}/{name}.wav").rows
    assert (row.emotion, row.intensity, row.speaker_id, row.gender, row.text) == (emotion, intensity, speaker, gender, text)
    assert row.utterance_id == f"ravdess/{name}"
    assert row.emotion_raw == name[6:8]


def test_song_and_video_are_left_out_unless_asked_for(tmp_path):
    names = ("03-01-01-01-01-01-01.wav", "03-02-01-01-01-01-01.wav", "01-01-01-01-01-01-01.mp4", "01-02-01-01-01-01-01.mp4")
    speech = scan_of(tmp_path, *names)
    assert [r.utterance_id for r in speech.rows] == ["ravdess/03-01-01-01-01-01-01"]
    assert speech.left_out == {"song": 1}
    assert len(scan_of(tmp_path, channels=("speech", "song")).rows) == 2
    assert len(scan_of(tmp_path, channels=("speech", "song"), modalities=("audio", "audio-video")).rows) == 4
    video = scan_of(tmp_path, modalities=("audio-video",))
    assert [r.utterance_id for r in video.rows] == ["ravdess/01-01-01-01-01-01-01"]


def test_suffixes_count_in_any_case_and_archive_shadows_do_not(tmp_path):
    scan = scan_of(tmp_path, "03-01-01-01-01-01-01.WAV", "__MACOSX/._03-01-01-01-01-01-01.wav", "readme.txt")
    assert [r.utterance_id for r in scan.rows] == ["ravdess/03-01-01-01-01-01-01"]
    assert not scan.rejected


def test_of_a_nested_second_tree_the_least_deep_copy_is_kept(tmp_path):
    kept = "Actor_01/03-01-01-01-01-01-01.wav"
    nested = f"audio_speech_actors_01-24/{kept}"
    scan = scan_of(tmp_path, kept, nested)
    assert [r.audio_path for r in scan.rows] == [str(tmp_path / kept)]
    assert [(d.path, d.kept) for d in scan.duplicates] == [(str(tmp_path / nested), str(tmp_path / kept))]


@pytest.mark.parametrize(
    ("name", "reason", "told"),
    [
        ("03-01-09-01-01-01-01", "unknown_code", "emotion '09' is not one of 01"),
        ("04-01-01-01-01-01-01", "unknown_code", "modality '04'"),
        ("03-03-01-01-01-01-01", "unknown_code", "vocal channel '03'"),
        ("03-01-01-03-01-01-01", "unknown_code", "intensity '03'"),
        ("03-01-01-01-03-01-01", "unknown_code", "statement '03'"),
        ("03-01-01-01-01-03-01", "unknown_code", "repetition '03'"),
        ("03-01-01-01-01-01-00", "unknown_code", "actor '00'"),
        ("03-01-01-01-01-01", "name", "seven two-digit fields"),
        ("take one", "name", "seven two-digit fields"),
    ],
)
def test_an_odd_name_is_rejected_by_name_and_the_rest_goes_on(tmp_path, name, reason, told):
    scan = scan_of(tmp_path, f"{name}.wav", "03-01-01-01-01-01-01.wav")
    assert len(scan.rows) == 1
    (rejected,) = scan.rejected
    assert rejected.reason == reason
    assert told in rejected.message
    assert name in rejected.message


def test_a_folder_of_songs_only_says_which_files_the_options_left_out(tmp_path):
    with pytest.raises(RapportError, match="1 left out by the options as song"):
        scan_of(tmp_path, "03-02-01-01-01-01-01.wav")


def test_the_real_half_of_the_corpus_has_its_published_counts(shared_data):
    rows = ravdess.scan(str(shared_data / "ravdess"), ravdess.Options()).rows
    assert len(rows) == 720
    assert {r.speaker_id for r in rows} == {f"ravdess/{i:02d}" for i in range(1, 13)}
    assert "calm: 96 of 192 in the complete corpus" in count_differences(read_card("ravdess"), rows)


def test_files_as_published_are_all_read(shared_data):
    assert len(ravdess.scan(str(shared_data / "ravdess_original"), ravdess.Options()).rows) == 6
