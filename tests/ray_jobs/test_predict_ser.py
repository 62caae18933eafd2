"""Files and folders in, rows out, and bad files told apart."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core.audio import load_speech
from rapport.core.errors import RapportError
from rapport.models.ser.inference import Predictor
from rapport.ray_jobs.predict_ser import PredictSerConfig, run


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips in two folders, the longest beyond what the model judges as a whole; and a note that is no audio."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "inner").mkdir()
    draw = np.random.default_rng(1)
    for name, seconds in (("b.wav", 1.2), ("inner/a.FLAC", 2.0), ("inner/long.ogg", 8.0)):
        tone = np.sin(2 * np.pi * draw.uniform(100, 400) * np.arange(round(seconds * 16_000)) / 16_000)
        soundfile.write(folder / name, 0.1 * tone + draw.normal(0, 0.02, len(tone)), 16_000, format=name.rsplit(".")[-1].upper())
    (folder / "notes.txt").write_text("not looked at")
    return folder


def config_for(ser_model: Path, *inputs: Path, **more: object) -> PredictSerConfig:
    return PredictSerConfig(inputs=tuple(map(str, inputs)), model=str(ser_model), device="cpu", **more)


def test_a_folder_gives_a_row_for_each_audio_file_below_it(ser_model: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "emotions.json"
    result = run(config_for(ser_model, recordings, out=str(out)))
    rows = json.loads(out.read_text())
    assert (result["files"], result["bad"]) == (3, 0)
    assert [Path(row["path"]).name for row in rows] == ["b.wav", "a.FLAC", "long.ogg"]
    predictor = Predictor.from_pretrained(ser_model, device="cpu")
    for row in rows:
        expected = predictor.predict([load_speech(row["path"]).samples])[0]
        assert row["emotion"] == expected.emotion
        assert row["scores"] == pytest.approx(expected.scores, abs=1e-4)


def test_csv_has_windows_below_their_clip(ser_model: Path, recordings: Path, tmp_path: Path) -> None:
    out = tmp_path / "emotions.csv"
    run(config_for(ser_model, recordings / "inner" / "long.ogg", recordings / "b.wav", out=str(out), timeline=True, hop_s=1.0))
    rows = list(csv.DictReader(out.open()))
    long_rows = [row for row in rows if row["path"].endswith("long.ogg")]
    assert [row["part"] for row in long_rows[:2]] == ["clip", "window"]
    windows = long_rows[1:]
    assert [float(row["start_s"]) for row in windows[:3]] == [0, 1, 2]
    assert {float(row["end_s"]) - float(row["start_s"]) for row in windows} == {1.5}, "windows are as long as in training"
    assert float(windows[-1]["end_s"]) == 8.0, "the end is not left out"
    assert sum(float(row["happy"]) for row in windows) > 0
    assert [row["part"] for row in rows if row["path"].endswith("b.wav")] == ["clip", "window"]


def test_bad_files_are_named_after_the_good_ones_are_written(ser_model: Path, recordings: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound in here")
    out = tmp_path / "emotions.jsonl"
    with pytest.raises(RapportError, match=r"2 of 3 files(.|\n)*broken\.wav: not_audio"):
        run(config_for(ser_model, recordings / "b.wav", broken, tmp_path / "absent.wav", out=str(out)))
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["reason"] for row in rows] == [None, "not_audio", "not_found"]
    assert rows[0]["emotion"]
    assert run(config_for(ser_model, recordings / "b.wav", broken, out=str(out), max_bad_fraction=0.5))["bad"] == 1


def test_rows_are_printed_as_they_come(ser_model: Path, recordings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(config_for(ser_model, recordings))
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 3


@pytest.mark.parametrize(("inputs", "out", "match"), [((), "-", "no input"), (("empty",), "-", "no audio"), (("x.wav",), "a.xls", "--out")])
def test_wrong_calls_say_what_is_wanted(ser_model: Path, tmp_path: Path, inputs: tuple[str, ...], out: str, match: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RapportError, match=match):
        run(config_for(ser_model, *(tmp_path / name for name in inputs), out=out))


def test_the_newest_model_is_taken_unless_one_is_named(ser_model: Path, recordings: Path, tmp_path: Path) -> None:
    config = PredictSerConfig(inputs=(str(recordings),), storage=str(tmp_path), device="cpu")
    with pytest.raises(RapportError, match="train_ser"):
        run(config)
    home = tmp_path / "models" / "ser"
    home.mkdir(parents=True)
    (home / "mine").symlink_to(ser_model)
    assert run(config)["model"] == str(home / "mine")
