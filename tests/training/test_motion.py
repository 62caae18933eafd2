from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.listener.heads import Motion
from rapport.models.listener.model import HeadMotionModel
from rapport.training.checkpoint import load_checkpoint
from rapport.training.motion import MotionData, MotionProgress, plateau_factor, train_motion, unexplained
from rapport.training.motion_config import MotionConfig, PlateauConfig
from rapport.training.motion_evaluation import judged, motion_figures
from rapport.training.report import Report
from rapport.training.weights import learned
from tests.training.toy_motion import planted_data, planted_turns, toy_config, toy_model


class Killed(Exception):
    pass


class Saver:
    """Saves every checkpoint, and dies after a step if told."""

    def __init__(self, folder: Path, dies_after: int | None = None) -> None:
        self.folder, self.dies_after = folder, dies_after
        self.steps: list[int] = []

    def __call__(self, report: Report) -> None:
        if report.record is None:
            self.steps.append(report.step)
        if report.checkpoint is not None:
            report.checkpoint.save(self.folder)
        if report.step == self.dies_after and report.record is None:
            raise Killed


def timeless(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in history]


@pytest.fixture(scope="module")
def trained() -> tuple[HeadMotionModel, dict[str, float]]:
    """A model that had time to learn, and its figures on turns that it has not seen."""
    config = toy_config(epochs=25)
    model = toy_model()
    train_motion(model, planted_data(), config)
    return model, motion_figures(model, planted_turns(12, seed=2), config)


def test_it_learns_more_than_a_head_that_does_not_move(trained):
    figures = trained[1]
    assert figures["offset_removed_mae_deg"] < 0.5 * figures["still_mae_deg"]
    assert figures["correlation"] > 0.85
    assert abs(figures["lag_s"]) <= 2 / 30


def test_the_noise_of_drawn_motion_is_fitted_and_saved_with_the_weights(trained):
    model = trained[0]
    again = np.concatenate(list(unexplained(model, planted_data().train, toy_config())))
    assert 0.5 < again.std() < 2, "deviations that are told are those that are seen"
    assert (model.noise_correlation >= 0).all()
    assert "noise_correlation" in learned(model)


@pytest.mark.parametrize("dies_after", [3, 8])
def test_killed_and_continued_it_ends_as_if_never_killed(dies_after, tmp_path):
    config = toy_config(save_every_steps=1, plateau={"patience": 1, "threshold": 0.5})
    whole_model = toy_model()
    whole = train_motion(whole_model, planted_data(), config, seed=7)
    with pytest.raises(Killed):
        train_motion(toy_model(), planted_data(), config, seed=7, report=Saver(tmp_path, dies_after))
    torch.manual_seed(99)
    np.random.seed(99)
    model, saver = toy_model(seed=5), Saver(tmp_path / "b")
    resumed = train_motion(model, planted_data(), config, seed=7, checkpoint=load_checkpoint(tmp_path, MotionProgress), report=saver)
    assert saver.steps[0] == dies_after + 1
    assert timeless(resumed.history) == timeless(whole.history)
    assert resumed.epoch == whole.epoch
    for name, tensor in learned(whole_model).items():
        assert torch.equal(tensor, learned(model)[name]), name
    for name, tensor in whole.last.items():
        assert torch.equal(tensor, resumed.last[name]), name


def test_the_selected_weights_are_those_of_the_best_epoch(tmp_path):
    # A rate so high that later epochs undo what the first ones learned.
    config = toy_config(epochs=5, ema_decay=0, schedule={"name": "constant"}, optim={"lr": 0.1})
    model, validation = toy_model(), planted_turns(8, seed=1)
    result = train_motion(model, MotionData(planted_turns(24), validation), config)
    errors = [record["validation"]["offset_removed_mae_deg"] for record in result.history]
    assert result.epoch == int(np.argmin(errors)) + 1
    assert result.validation is not None
    assert result.validation["offset_removed_mae_deg"] == min(errors)
    assert motion_figures(model, validation, config)["offset_removed_mae_deg"] == pytest.approx(min(errors))


def test_the_last_epoch_can_be_taken_without_validation():
    result = train_motion(toy_model(), MotionData(planted_turns(6)), toy_config(epochs=2, selection="last"))
    assert (result.epoch, result.validation) == (2, None)


def test_patience_ends_a_training_that_no_longer_improves():
    result = train_motion(toy_model(), planted_data(), toy_config(epochs=30, patience=2, ema_decay=0, optim={"lr": 0.1}))
    assert result.stopped
    assert len(result.history) == result.epoch + 2 < 30


@pytest.mark.parametrize(
    ("data", "complaint"),
    [(MotionData(planted_turns(4)), "no validation turns"), (MotionData(planted_turns(0), planted_turns(2)), "training s")],
)
def test_what_does_not_fit_the_settings_is_refused(data, complaint):
    with pytest.raises(RapportError, match=complaint):
        train_motion(toy_model(), data, toy_config())


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_saved(tmp_path):
    model = toy_model()
    torch.nn.init.constant_(model.head.output.weight, torch.inf)  # type: ignore[union-attr]
    with pytest.raises(RapportError, match=r"loss is nan.*optim\.lr"):
        train_motion(model, planted_data(), toy_config(save_every_steps=1), report=Saver(tmp_path))
    assert not (tmp_path / "state.json").exists()


@pytest.mark.parametrize(("kind", "own"), [("faithful", True), ("lstm", True), ("lstm_linear", False)])
def test_only_published_networks_are_judged_without_the_limits(kind, own):
    settings: dict[str, Any] = {
        "network": {"kind": kind, "lstm_linear": {"width": 16}},
        "head": {"kind": "point"},
        "limits": {"angles_deg": (1, 1, 1)},
    }
    motion = Motion(torch.full((4, 3), 62.0), None)
    assert (judged(toy_model(**settings), motion) == (62 if own else 1)).all()


@pytest.mark.parametrize("kind", ["faithful", "lstm", "lstm_linear"])
def test_every_network_trains_and_resumes(kind, tmp_path):
    published: dict[str, Any] = {"head": {"kind": "point"}, "pose": "absolute", "normalise": False, "smoothing": {"kind": "none"}}
    changes: dict[str, Any] = {"network": {"kind": kind, "lstm_linear": {"width": 16}}, **({} if kind == "lstm_linear" else published)}
    config = toy_config(epochs=2, crop_s=0, batch_size=8, save_every_steps=1, optim={"lr": 1e-3, "clip_norm": 0}, ema_decay=0)
    whole = train_motion(toy_model(**changes), planted_data(), config)
    assert whole.history[1]["train"]["loss"] < whole.history[0]["train"]["loss"]
    with pytest.raises(Killed):
        train_motion(toy_model(**changes), planted_data(), config, report=Saver(tmp_path, 2))
    resumed = train_motion(toy_model(seed=1, **changes), planted_data(), config, checkpoint=load_checkpoint(tmp_path, MotionProgress))
    assert all(torch.equal(tensor, resumed.last[name]) for name, tensor in whole.last.items())


def test_rates_fall_on_a_plateau_as_those_of_torch_do():
    config = PlateauConfig(patience=2, factor=0.5, threshold=0.01)
    losses = [1.0, 0.5, 0.498, 0.499, 0.497, 0.6, 0.7, 0.8, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, threshold=0.01)
    for count, loss in enumerate(losses, 1):
        theirs.step(loss)
        assert plateau_factor(losses[:count], config) == optimizer.param_groups[0]["lr"], count
    assert plateau_factor(losses, PlateauConfig()) == 1


def test_patience_without_selection_is_refused():
    with pytest.raises(ValueError, match="selection is last"):
        MotionConfig(selection="last", patience=3)
