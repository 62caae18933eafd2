"""Recordings in, motion out: as a table, as a page, as a film; and bad files told apart."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rapport.core.audio import load_speech
from rapport.core.errors import RapportError
from rapport.models.listener.config import ListenerConfig
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.pretrained import from_pretrained, save_pretrained
from rapport.ray_jobs.predict_listener import PredictListenerConfig, output_names, run


def write_model(folder: Path, **settings: object) -> Path:
    torch.manual_seed(1)
    tcn = {"kind": "tcn", "tcn": {"width": 8, "dilations": (1, 2), "look_ahead_frames": 2}}
    model = HeadMotionModel(ListenerConfig.model_validate({"network": tcn, **settings}))
    model.spread.fill_(4.0)
    save_pretrained(model.eval(), folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with a model, and two recordings of one name."""
    root = tmp_path_factory.mktemp("moving")
    write_model(root / "models" / "listener" / "tiny")
    draw = np.random.default_rng(0)
    for name, seconds in (("one/talk.wav", 2.0), ("two/talk.wav", 12.5)):
        (root / name).parent.mkdir()
        soundfile.write(root / name, draw.normal(0, 0.1, round(16_000 * seconds)), 16_000)
    return root


def config_for(home: Path, *inputs: str, **more: object) -> PredictListenerConfig:
    return PredictListenerConfig.model_validate({"inputs": tuple(str(home / name) for name in inputs), "storage": str(home), **more})


def test_a_table_and_a_page_are_written_for_each_recording(home: Path, tmp_path: Path) -> None:
    result = run(config_for(home, "one", "two", out=str(tmp_path)))
    assert (result["files"], result["bad"]) == (2, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk-2.csv", "talk-2.html", "talk.csv", "talk.html"]
    rows = list(csv.DictReader((tmp_path / "talk-2.csv").open()))
    expected = from_pretrained(result["model"]).predict(load_speech(str(home / "two" / "talk.wav")).samples)
    assert len(rows) == len(expected) == 375
    found = np.array([[float(row[angle]) for angle in ("roll", "pitch", "yaw")] for row in rows])
    assert np.abs(found - expected).max() < 1e-4, "streamed in pieces, and the same"
    assert [float(row["time_s"]) for row in rows[:2]] == [pytest.approx(1 / 30, abs=1e-6), pytest.approx(2 / 30, abs=1e-6)]
    assert "most probable" in (tmp_path / "talk.html").read_text()


def test_drawn_motion_is_that_of_its_seed(home: Path, tmp_path: Path) -> None:
    def drawn(seed: int) -> dict:
        run(config_for(home, "one/talk.wav", out=str(tmp_path), format="json", draw=True, seed=seed, page=False))
        return json.loads((tmp_path / "talk.json").read_text())

    first = drawn(3)
    assert first == drawn(3)
    assert first["yaw"] != drawn(4)["yaw"]
    assert (first["seed"], first["frame_rate_hz"], len(first["time_s"])) == (3, 30, 60)


def test_npz_holds_the_numbers_in_full_and_no_objects(home: Path, tmp_path: Path) -> None:
    run(config_for(home, "one/talk.wav", out=str(tmp_path), format="npz", page=False))
    with np.load(io.BytesIO((tmp_path / "talk.npz").read_bytes()), allow_pickle=False) as held:
        assert held["degrees"].shape == (60, 3)
        assert held["rotations"].tolist() == ["roll", "pitch", "yaw"]
        assert json.loads(str(held["facts"]))["pose"] == "relative"


@pytest.mark.parametrize(("video", "magic"), [("gif", b"GIF8"), ("mp4", b"ftyp")])
def test_a_film_shows_no_more_than_is_asked_for(home: Path, tmp_path: Path, video: str, magic: bytes) -> None:
    result = run(config_for(home, "one/talk.wav", out=str(tmp_path), video=video, page=False, show_s=1.0))
    assert result["motions"][0]["frames"] == 60, "the motion itself is written whole"
    assert magic in (tmp_path / f"talk.{video}").read_bytes()[:16]


def test_models_that_need_the_whole_recording_move_too(home: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "slow", network={"kind": "faithful"}, head={"kind": "point"}, front_end={"kind": "mfcc"})
    result = run(config_for(home, "one/talk.wav", model=str(model), out=str(tmp_path / "out")))
    assert result["motions"][0]["frames"] == 60
    with pytest.raises(RapportError, match="nothing can be drawn"):
        run(config_for(home, "one/talk.wav", model=str(model), out=str(tmp_path / "out"), draw=True))


def test_bad_files_are_named_after_the_good_ones_are_written(home: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no sound in here")
    inputs = (str(home / "one" / "talk.wav"), str(tmp_path / "broken.wav"))
    config = PredictListenerConfig(inputs=inputs, storage=str(home), out=str(tmp_path / "out"), page=False)
    with pytest.raises(RapportError, match=r"1 of 2 files(.|\n)*broken\.wav: not_audio"):
        run(config)
    assert (tmp_path / "out" / "talk.csv").exists()
    assert run(config.model_copy(update={"max_bad_fraction": 0.5}))["motions"][1]["reason"] == "not_audio"


def test_models_are_found_by_name_and_lacking_ones_told(home: Path, tmp_path: Path) -> None:
    named = run(config_for(home, "one/talk.wav", model="tiny", out=str(tmp_path), page=False))
    assert named["model"].endswith("models/listener/tiny")
    with pytest.raises(RapportError, match="train_listener"):
        run(PredictListenerConfig(inputs=(str(home / "one"),), storage=str(tmp_path), out=str(tmp_path)))


def test_names_never_fall_together() -> None:
    assert output_names(["a/x.wav", "b/x.flac", "c/x-2.wav", "d/x.wav"]) == ["x", "x-2", "x-2-2", "x-3"]
