import json
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rapport.core.errors import RapportError
from rapport.training.checkpoint import ClassifierProgress, load_checkpoint
from rapport.training.classifier import ClassifierData, train_classifier
from rapport.training.config import TrackingConfig
from rapport.training.sft import train_language_model
from rapport.training.tracking import Tracker
from tests.training.conftest import CORPORA, tone_clips
from tests.training.toy_language import Speller, toy_config, toy_data


@pytest.fixture
def both() -> ClassifierData:
    return ClassifierData(tone_clips(range(4), corpora=CORPORA), tone_clips(range(4, 6), corpora=CORPORA))


def tracker(folder: Path, **changes) -> Tracker:
    start = {name: changes.pop(name) for name in ("history", "step", "draw") if name in changes}
    return Tracker(str(folder), TrackingConfig(log_every_steps=2, **changes), name="run", settings={"lr": 1}, **start)


def curves(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [point.step for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_every_figure_has_its_curve(both, make_model, settings, tmp_path):
    tracks = tracker(tmp_path)
    train_classifier(make_model(domain={"grl_lambda": 0.1}), both, settings(epochs=2, batch_size=8), report=tracks)
    tracks.close()
    found = curves(tmp_path / "tensorboard")
    wanted = {f"{name}/{side}" for name in ("Loss", "Accuracy", "UAR", "F1") for side in ("Train", "Val")}
    wanted |= {"Accuracy/Train_Domain", "Accuracy/Val_Domain", "LearningRate/head", "Recall/neutral", "Recall/happy", "Recall/sad"}
    assert wanted | {"UAR_corpus/tones", "UAR_corpus/more"} == found.keys()
    assert all(steps == [1, 2] for steps in found.values())
    assert curves(tmp_path / "tensorboard" / "steps")["Loss"] == [2, 4, 6, 8, 10, 12]
    assert [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2]
    assert np.load(tmp_path / "confusions.npy").sum() == 2 * len(both.validation)
    assert json.loads((tmp_path / "progress.json").read_text()) == {"epoch": 2, "step": 12, "total_steps": 12}


def test_every_best_epoch_has_its_confusion_picture(both, make_model, settings, tmp_path):
    drawn = []

    def draw(confusion):
        drawn.append(confusion)
        return np.full((4, 6, 3), 200, dtype=np.uint8)

    tracks = tracker(tmp_path, draw=draw)
    result = train_classifier(make_model(), both, settings(epochs=3, batch_size=8), report=tracks)
    tracks.close()
    best = [record for record in result.history if record["best"]]
    assert drawn == [record["validation"]["confusion"] for record in best]
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    pictures = events.Images("ConfusionMatrix")
    assert [picture.step for picture in pictures] == [record["epoch"] for record in best]
    assert (pictures[0].height, pictures[0].width) == (4, 6)


def test_a_resumed_training_continues_its_curves_without_repeats(both, make_model, settings, tmp_path):
    class Killed(Exception):
        pass

    first = tracker(tmp_path)

    def until_killed(report):
        first(report)
        if report.checkpoint is not None and report.epoch == 1:
            report.checkpoint.save(tmp_path / "checkpoint")
        if report.epoch == 2 and report.record is not None:
            raise Killed

    with pytest.raises(Killed):
        train_classifier(make_model(), both, settings(batch_size=8), report=until_killed)
    first.close()
    checkpoint = load_checkpoint(tmp_path / "checkpoint", ClassifierProgress)
    assert checkpoint.progress.epoch == 1
    second = tracker(tmp_path, history=checkpoint.progress.history, step=checkpoint.progress.step)
    train_classifier(make_model(), both, settings(batch_size=8), report=second, checkpoint=checkpoint)
    second.close()
    assert curves(tmp_path / "tensorboard")["UAR/Val"] == [1, 2, 3]
    assert [json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3]


def test_curves_reach_storage_that_is_no_disk(both, make_model, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("rapport.core.storage.is_local", lambda path: False)
    tracks = tracker(tmp_path)
    train_classifier(make_model(), both, settings(epochs=1), report=tracks)
    tracks.close()
    assert curves(tmp_path / "tensorboard")["UAR/Val"] == [1]
    assert list((tmp_path / "tensorboard" / "steps").iterdir())


def test_curves_can_be_left_out(both, make_model, settings, tmp_path):
    tracks = tracker(tmp_path, tensorboard=False)
    train_classifier(make_model(), both, settings(epochs=1), report=tracks)
    tracks.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusions.npy", "metrics.jsonl", "progress.json"]


def test_mlflow_that_is_not_installed_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(RapportError, match=r"pip install 'rapport\[mlflow\]'"):
        tracker(tmp_path, mlflow_uri="sqlite:///mlflow.db")


def test_mlflow_gets_settings_and_figures_and_one_run(both, make_model, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow")
    uri = (tmp_path / "mlflow").as_uri()
    for _ in range(2):
        tracks = tracker(tmp_path, mlflow_uri=uri)
        train_classifier(make_model(), both, settings(epochs=1), report=tracks)
        tracks.close()
    runs = mlflow.MlflowClient(uri).search_runs([mlflow.MlflowClient(uri).get_experiment_by_name("rapport").experiment_id])
    assert len(runs) == 1
    assert runs[0].data.params == {"lr": "1"}
    assert "UAR/Val" in runs[0].data.metrics


def test_language_models_have_curves_of_their_own(tmp_path):
    tracks = tracker(tmp_path)
    train_language_model(Speller(), toy_data(), toy_config(), report=tracks)
    tracks.close()
    wanted = {f"{name}/{side}" for name in ("Loss", "Perplexity", "TeacherForcedTokenAccuracy") for side in ("Train", "Val")}
    found = curves(tmp_path / "tensorboard")
    assert wanted | {"LearningRate/model"} == found.keys()
    assert all(steps == [1, 2] for steps in found.values())
    assert not (tmp_path / "confusions.npy").exists()
