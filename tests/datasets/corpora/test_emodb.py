import pytest

from rapport.datasets.corpora import emodb


def scan_of(tmp_path, *names):
    for name in names:
        (tmp_path / name).touch()
    return emodb.scan(str(tmp_path), emodb.Options())


@pytest.mark.parametrize(
    ("name", "emotion", "speaker", "gender"),
    [
        ("03a01Fa", "happy", "emodb/03", "male"),
        ("08b10Nc", "neutral", "emodb/08", "female"),
        ("09a02Ta", "sad", "emodb/09", "female"),
        ("10a04Wb", "angry", "emodb/10", "male"),
        ("11b01Ad", "fearful", "emodb/11", "male"),
        ("12a05Ea", "disgust", "emodb/12", "male"),
        ("13b03La", "bored", "emodb/13", "female"),
    ],
)
def test_a_name_tells_speaker_sentence_and_emotion(tmp_path, name, emotion, speaker, gender):
    (row,) = scan_of(tmp_path, f"{name}.wav").rows
    assert (row.emotion, row.speaker_id, row.gender, row.language) == (emotion, speaker, gender, "de-DE")
    assert row.emotion_raw == name[5]
    assert row.text


@pytest.mark.parametrize("name", ["03a01Xa", "04a01Fa", "03a03Fa", "3a01Fa", "notes"])
def test_an_unknown_code_is_rejected_by_name_and_the_rest_goes_on(tmp_path, name):
    scan = scan_of(tmp_path, f"{name}.wav", "03a01Fa.wav")
    assert len(scan.rows) == 1
    assert name in scan.rejected[0].message


def test_the_real_speaker_has_all_seven_emotions(shared_data):
    scan = emodb.scan(str(shared_data / "emodb"), emodb.Options())
    assert len(scan.rows) == 49
    assert not scan.rejected
    assert {r.emotion for r in scan.rows} == {"neutral", "happy", "sad", "angry", "fearful", "disgust", "bored"}
    assert {r.speaker_id for r in scan.rows} == {"emodb/03"}
