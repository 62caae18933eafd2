from collections import Counter

import pytest

from rapport.datasets.card import count_differences, read_card
from rapport.datasets.corpora import cremad


def scan_of(tmp_path, *names, **options):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return cremad.scan(str(tmp_path), cremad.Options(**options))


@pytest.mark.parametrize(
    ("name", "emotion", "intensity", "gender", "text"),
    [
        ("1001_DFA_ANG_XX", "angry", "unspecified", "male", "Don't forget a jacket"),
        ("1002_IEO_HAP_LO", "happy", "low", "female", "It's eleven o'clock"),
        ("1055_IEO_DIS_MD", "disgust", "medium", "female", "It's eleven o'clock"),
        ("1090_IEO_FEA_HI", "fearful", "high", "male", "It's eleven o'clock"),
        ("1091_WSI_NEU_XX", "neutral", "unspecified", "female", "We'll stop in a couple of minutes"),
        ("1040_ITH_SAD_X", "sad", "unspecified", "male", "I think I have a doctor's appointment"),
    ],
)
def test_a_name_tells_emotion_level_gender_and_sentence(tmp_path, name, emotion, intensity, gender, text):
    (row,) = scan_of(tmp_path, f"AudioWAV/{name}.wav").rows
    assert (row.emotion, row.intensity, row.gender, row.text) == (emotion, intensity, gender, text)
    assert row.speaker_id == f"cremad/{name[:4]}"
    assert row.utterance_id == f"cremad/{name}"


@pytest.mark.parametrize("name", ["1001_DFA_JOY_XX", "1001_ABC_ANG_XX", "1001_DFA_ANG_ZZ", "1001-DFA-ANG-XX", "summary"])
def test_an_unknown_code_is_rejected_by_name_and_the_rest_goes_on(tmp_path, name):
    scan = scan_of(tmp_path, f"{name}.wav", "1001_DFA_ANG_XX.wav")
    assert len(scan.rows) == 1
    assert name in scan.rejected[0].message


def test_the_mp3_folder_is_read_instead_of_the_wav_folder_when_asked_for(tmp_path):
    names = ("AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_ANG_XX.mp3")
    assert scan_of(tmp_path, *names).rows[0].audio_path.endswith(".wav")
    assert scan_of(tmp_path, suffix=".mp3").rows[0].audio_path.endswith(".mp3")


def test_there_are_48_men_and_43_women(tmp_path):
    rows = scan_of(tmp_path, *(f"{1000 + i}_DFA_ANG_XX.wav" for i in range(1, 93))).rows
    assert Counter(r.gender for r in rows) == {"male": 48, "female": 43, None: 1}


def test_every_name_of_the_published_table_is_understood(tmp_path, shared_data):
    table = (shared_data / "cremad" / "SentenceFilenames.csv").read_text().splitlines()[1:]
    scan = scan_of(tmp_path, *(line.split(",")[1].strip('"') + ".wav" for line in table))
    assert not scan.rejected
    assert count_differences(read_card("cremad"), scan.rows) == []


def test_pointer_files_are_rows_for_the_decoder_to_judge(shared_data):
    assert len(cremad.scan(str(shared_data / "cremad"), cremad.Options()).rows) == 5
