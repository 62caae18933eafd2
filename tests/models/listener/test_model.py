"""The model as training and evaluation use it, and as it is saved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.listener.config import FrontEndConfig, ListenerConfig
from rapport.models.listener.front_end import load_front_end
from rapport.models.listener.model import HeadMotionModel, to_targets
from rapport.models.listener.pretrained import from_pretrained, save_pretrained
from rapport.models.saving import ModelError
from tests.models.listener.conftest import make_model, speech

POINT: dict[str, Any] = {"head": {"kind": "point"}}
KINDS: list[tuple[str, dict[str, Any]]] = [("tcn", {}), ("tcn", POINT), ("lstm_linear", {}), ("faithful", POINT), ("lstm", POINT)]


def batch(model: HeadMotionModel, *lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [B, T, D] whose padding is not finite, as a careless caller's."""
    rows = torch.full((len(lengths), max(lengths), model.width), torch.nan, dtype=model.rest.dtype)
    for row, length in zip(rows, lengths, strict=True):
        row[:length] = torch.randn(length, model.width, generator=torch.Generator().manual_seed(length)) * 3 - 8
    return rows, torch.tensor(lengths)


@pytest.mark.parametrize(("kind", "settings"), KINDS)
@torch.no_grad()
def test_padding_and_batch_mates_change_nothing(kind: str, settings: dict[str, Any]) -> None:
    model = make_model(kind, **settings)
    rows, lengths = batch(model, 40, 25, 1)
    together = model(rows, lengths)
    assert together.mean.shape == (3, 40, 3)
    for index, length in enumerate(lengths.tolist()):
        alone = model(rows[index : index + 1, :length], lengths[index : index + 1])
        torch.testing.assert_close(together.mean[index, :length], alone.mean[0])
        if together.log_deviation is not None and alone.log_deviation is not None:
            torch.testing.assert_close(together.log_deviation[index, :length], alone.log_deviation[0])
    assert (together.log_deviation is None) == (model.config.head.kind == "point")


@pytest.mark.parametrize("ahead", [0, 3])
@torch.no_grad()
def test_a_pose_hears_its_look_ahead_and_no_further(ahead: int) -> None:
    model = make_model(ahead=ahead)
    rows, lengths = batch(model, 60)
    known = model(rows, lengths).mean[0]
    rows[0, 30:] = -3
    changed = (model(rows, lengths).mean[0] != known).any(1)
    assert changed.nonzero()[0].item() == 30 - ahead


def test_features_and_poses_are_scaled_by_the_training_turns() -> None:
    model = HeadMotionModel(ListenerConfig())
    rng = np.random.default_rng(0)
    features, degrees = rng.normal(4, 3, (5000, 32)), rng.normal((5, -6, 7), (1, 2, 3), (5000, 3))
    features[:, 5] = 2.5
    model.fit_normalisation([(features[:1000], degrees[:1000]), (features[1000:], degrees[1000:])])
    np.testing.assert_allclose(model.feature_mean[:5], features[:, :5].mean(0), atol=1e-5)
    assert model.feature_deviation[5] == 1
    np.testing.assert_allclose(model.rest, (5, -6, 7), atol=0.2)
    np.testing.assert_allclose(model.spread, (1, 2, 3), atol=0.1)
    assert model.scaled(torch.full((1, 32), 1e6)).max() == 5
    with pytest.raises(RapportError, match="training split is empty"):
        model.fit_normalisation([])


def test_nothing_is_scaled_where_the_published_code_scales_nothing() -> None:
    model = HeadMotionModel(ListenerConfig.model_validate({"normalise": False, "network": {"kind": "faithful"}, **POINT}), width=28)
    model.fit_normalisation([(np.ones((5, 28)), np.ones((5, 3)))])
    assert torch.equal(model.scaled(torch.full((1, 28), 1e6)), torch.full((1, 28), 1e6))
    assert model.rest.tolist() == [0, 0, 0]


def test_targets_have_no_jumps_and_are_centred_when_relative() -> None:
    degrees = np.array([[179.0, 1, 2], [-179.0, 3, 2]])
    assert to_targets(degrees, "absolute").tolist() == [[179, 1, 2], [181, 3, 2]]
    assert to_targets(degrees, "relative").tolist() == [[-1, -1, 0], [1, 1, 0]]
    assert to_targets(degrees[:0], "relative").shape == (0, 3)


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_gradients_reach_all_that_matters(kind: str, settings: dict[str, Any]) -> None:
    model = make_model(kind, dtype=torch.float32, **settings).train()
    rows, lengths = batch(model, 30, 30)
    motion = model(rows, lengths)
    loss = motion.mean.square().mean() + (0 if motion.log_deviation is None else motion.log_deviation.mean())
    loss.backward()
    silent = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert all("generate_dense" in name or "sigma" in name or "_hh_" in name for name in silent)


def test_predictions_are_poses_on_the_clock() -> None:
    model = make_model()
    samples = speech(3.01)
    poses = model.predict(samples)
    assert poses.shape == (90, 3)
    assert np.array_equal(poses, model.predict(samples))
    drawn = model.predict(samples, seed=1)
    assert np.array_equal(drawn, model.predict(samples, seed=1))
    assert np.abs(drawn - poses).mean() > 0.5
    assert np.abs(drawn - model.predict(samples, seed=2)).mean() > 0.5
    assert model.predict(samples[:100]).shape == (0, 3)
    assert np.isfinite(model.predict(np.full(9000, np.nan, np.float32))).all()
    with pytest.raises(RapportError, match="in training mode"):
        make_model().train().predict(samples)
    with pytest.raises(RapportError, match=r"the model wants \[T, 32\]"):
        model.predict_features(np.zeros((4, 31), np.float32))


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_a_saved_model_moves_alike(tmp_path: Path, kind: str, settings: dict[str, Any]) -> None:
    model = make_model(kind, dtype=torch.float32, **settings)
    save_pretrained(model, tmp_path / "model", metrics={"mae": 1.0})
    loaded = from_pretrained(tmp_path / "model")
    assert loaded.rest.dtype == torch.float64
    assert not loaded.training
    assert loaded.config == model.config
    samples = speech(1.0)
    np.testing.assert_allclose(loaded.predict(samples), model.predict(samples), atol=1e-3)
    assert from_pretrained(tmp_path / "model", dtype=torch.float32).fingerprint() == model.fingerprint()
    assert {f.name for f in (tmp_path / "model").iterdir()} == {"config.json", "model.safetensors", "README.md", "metrics.json"}
    assert "behind the speech" in (tmp_path / "model" / "README.md").read_text() or not model.config.streams


def test_a_model_is_refused_with_other_features_or_weights(tmp_path: Path) -> None:
    save_pretrained(make_model(), tmp_path / "model")
    other = load_front_end(FrontEndConfig(frame_rate_hz=25))
    with pytest.raises(RapportError, match="was trained on features of"):
        from_pretrained(tmp_path / "model", front_end=other)
    with pytest.raises(RapportError, match="give the model `width`"):
        HeadMotionModel(ListenerConfig.model_validate({"front_end": {"kind": "ssl"}}))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"short")
    with pytest.raises(ModelError, match="cannot read"):
        from_pretrained(tmp_path / "model")


def test_fingerprints_tell_weights_and_settings_apart() -> None:
    model = make_model()
    known = model.fingerprint()
    assert known == make_model().fingerprint() != make_model(limits={"speed_deg_s": 100}).fingerprint()
    with torch.no_grad():
        model.rest[0] += 1
    assert model.fingerprint() != known
