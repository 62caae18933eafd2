from collections import Counter

import pytest

from rapport.core.errors import RapportError
from rapport.datasets.corpora import iemocap
from rapport.datasets.splits import SplitConfig, assign_splits

LABELS = "[2.5000, 3.0000, 3.5000]"


def write(root, dialogue, *said, words=True):
    """A dialogue of utterances (number, start_s, end_s, code), with recordings of no bytes."""
    session = root / f"Session{int(dialogue[3:5])}"
    lines, texts = [iemocap.HEADER, ""], []
    for number, start_s, end_s, code in said:
        name = f"{dialogue}_{number}"
        lines += [f"[{start_s:.4f} - {end_s:.4f}]\t{name}\t{code}\t{LABELS}", "C-E2:\tNeutral;\t()", "A-E3:\tval 3; act 2; dom  2;\t()", ""]
        texts.append(f"{name} [{start_s:08.4f}-{end_s:08.4f}]: Words of {number}.")
        path = session / "sentences/wav" / dialogue / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for kind, content in (("EmoEvaluation", lines), ("transcriptions", texts if words else None)):
        if content is not None:
            (session / "dialog" / kind).mkdir(parents=True, exist_ok=True)
            (session / "dialog" / kind / f"{dialogue}.txt").write_text("\n".join(content) + "\n")
    return session


def scan_of(root, **options):
    return iemocap.scan(str(root), iemocap.Options(**options))


def test_names_and_tables_tell_everything_of_an_utterance(tmp_path):
    write(tmp_path / "release", "Ses03M_script01_1b", ("F010", 1.5, 3.25, "exc"))
    scan = scan_of(tmp_path)
    assert not scan.rejected
    (row,) = scan.rows
    assert (row.utterance_id, row.speaker_id, row.gender) == ("iemocap/Ses03M_script01_1b_F010", "iemocap/Ses03_F", "female")
    assert (row.emotion, row.emotion_raw, row.text) == ("excited", "exc", "Words of F010.")
    assert (row.dialogue_id, row.turn, row.start_s, row.end_s) == ("iemocap/Ses03M_script01_1b", 0, 0.0, None)
    found, _ = iemocap.read_evaluations(str(tmp_path))
    evaluation = found["Ses03M_script01_1b_F010"]
    assert (evaluation.start_s, evaluation.end_s) == (1.5, 3.25)
    assert (evaluation.valence, evaluation.activation, evaluation.dominance) == (2.5, 3.0, 3.5)
    assert (evaluation.name.wearer, evaluation.name.speaker, evaluation.name.style) == ("M", "F", "scripted")


def test_turns_are_counted_by_time_and_keep_their_number_when_a_recording_is_missing(tmp_path):
    session = write(tmp_path, "Ses01F_impro01", ("M000", 4.0, 5.0, "neu"), ("F000", 1.0, 3.0, "neu"), ("F001", 4.5, 6.0, "neu"))
    (session / "sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav").unlink()
    scan = scan_of(tmp_path)
    assert {r.utterance_id[-4:]: r.turn for r in scan.rows} == {"F000": 0, "F001": 2}
    (missing,) = scan.rejected
    assert missing.reason == "no_audio"
    assert missing.path.endswith("Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav")


def test_disagreement_and_other_are_rows_without_an_emotion(tmp_path):
    write(tmp_path, "Ses01F_impro01", ("F000", 0, 1, "xxx"), ("M000", 1, 2, "oth"), ("F001", 2, 3, "neu"))
    assert [(r.emotion, r.emotion_raw) for r in scan_of(tmp_path).rows] == [(None, "xxx"), ("neutral", "neu"), (None, "oth")]


def test_options_choose_scenes_and_labels_and_count_the_rest(tmp_path):
    write(tmp_path, "Ses01F_impro01", ("F000", 0, 1, "exc"), ("M000", 1, 2, "xxx"))
    write(tmp_path, "Ses01F_script02_2", ("F000", 0, 1, "ang"))
    scan = scan_of(tmp_path, styles=("improvised",), emotions=("ang", "exc"), excited_as_happy=True)
    assert [(r.emotion, r.emotion_raw) for r in scan.rows] == [("happy", "exc")]
    assert scan.left_out == {"scripted": 1, "xxx": 1}
    assert not scan.rejected


def test_what_does_not_fit_is_named(tmp_path):
    session = write(tmp_path, "Ses01F_impro01", ("F000", 0, 1, "neu"), ("F001", 1, 2, "bored"), ("F002", 2, 3, "neu"))
    wavs = session / "sentences/wav/Ses01F_impro01"
    (wavs / "Ses01F_impro01_M009.wav").touch()
    (wavs / "take.wav").touch()
    texts = session / "dialog/transcriptions/Ses01F_impro01.txt"
    texts.write_text("".join(line for line in texts.read_text().splitlines(True) if "F002" not in line))
    with (session / "dialog/EmoEvaluation/Ses01F_impro01.txt").open("a") as table:
        table.write(f"[5.0000 - 4.0000]\tSes01F_impro01_F003\tneu\t{LABELS}\n")
    scan = scan_of(tmp_path)
    assert len(scan.rows) == 1
    assert Counter(r.reason for r in scan.rejected) == {"unknown_label": 1, "no_text": 1, "no_label": 1, "name": 1, "table_row": 1}
    assert any("Ses01F_impro01.txt line 15" in r.message for r in scan.rejected)


def test_what_is_no_utterance_is_passed_over(tmp_path):
    session = write(tmp_path, "Ses02M_impro05a", ("F000", 0, 1, "sad"))
    (session / "sentences/wav/Ses02M_impro05a/._Ses02M_impro05a_F000.wav").touch()
    (session / "dialog/wav").mkdir()
    (session / "dialog/wav/Ses02M_impro05a.wav").touch()
    (session / "dialog/EmoEvaluation/._Ses02M_impro05a.txt").write_bytes(b"\x00\x05\x16\x07[1 - 2]")
    (session / "dialog/EmoEvaluation/Categorical").mkdir()
    (session / "dialog/EmoEvaluation/Categorical/Ses02M_impro05a_e2_cat.txt").write_text("[0 - 1] nothing\n")
    with (session / "dialog/transcriptions/Ses02M_impro05a.txt").open("a") as table:
        table.write("Ses02M_impro05a_MXX0 [001.0000-002.0000]: Hm.\nM: [laughs]\n")
    scan = scan_of(tmp_path)
    assert len(scan.rows) == 1
    assert not scan.rejected
    assert not scan.left_out


def test_words_may_be_missing_and_one_session_may_be_the_root(tmp_path):
    session = write(tmp_path, "Ses04F_impro01", ("F000", 0, 1, "fru"), words=False)
    (row,) = scan_of(session).rows
    assert row.text is None
    assert iemocap.read_evaluations(str(session / "dialog/EmoEvaluation"))[0]


@pytest.mark.parametrize(("fold", "validated"), [(1, 2), (4, 5), (5, 1)])
def test_a_fold_tests_on_one_session_and_validates_on_the_next(tmp_path, fold, validated):
    for session in range(1, 6):
        write(tmp_path, f"Ses{session:02d}F_impro01", ("F000", 0, 1, "neu"), ("M000", 1, 2, "neu"))
    rows = assign_splits(scan_of(tmp_path).rows, SplitConfig(method="published", name=f"session{fold}"))
    sides = {str(row.speaker_id)[8:13]: row.split for row in rows}
    assert sides[f"Ses{fold:02d}"] == "test"
    assert sides[f"Ses{validated:02d}"] == "validation"
    assert Counter(sides.values()) == {"train": 3, "validation": 1, "test": 1}


def test_a_folder_of_whole_dialogues_alone_is_an_error(tmp_path):
    (tmp_path / "dialog/wav").mkdir(parents=True)
    (tmp_path / "dialog/wav/Ses01F_impro01.wav").touch()
    with pytest.raises(RapportError, match="EmoEvaluation"):
        scan_of(tmp_path)
