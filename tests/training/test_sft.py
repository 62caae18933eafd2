from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.training.checkpoint import load_checkpoint
from rapport.training.report import Report
from rapport.training.sft import LanguageData, LanguageProgress, train_language_model
from tests.training.toy_language import Reversals, Speller, toy_config, toy_data


class Killed(Exception):
    pass


class Saver:
    """Saves every checkpoint, and dies after a step if told."""

    def __init__(self, folder: Path, dies_after: int | None = None) -> None:
        self.folder, self.dies_after = folder, dies_after

    def __call__(self, report: Report) -> None:
        if report.checkpoint is not None:
            report.checkpoint.save(self.folder)
        if report.step == self.dies_after and report.record is None:
            raise Killed


def timeless(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in record.items() if key not in ("seconds", "tokens_per_s")} for record in history]


def test_it_learns():
    result = train_language_model(Speller(), toy_data(512), toy_config(epochs=14, batch_tokens=256, batches_per_step=1))
    assert result.validation is not None
    assert result.validation["teacher_forced_token_accuracy"] > 0.5
    assert result.history[-1]["train"]["loss"] < 0.5 * result.history[0]["train"]["loss"]
    assert result.validation["perplexity"] == pytest.approx(np.exp(result.validation["loss"]))


@pytest.mark.parametrize("dies_after", [3, 6])
def test_killed_and_continued_it_ends_as_if_never_killed(dies_after, tmp_path):
    # Dropout, so that randomness must come again too; four steps an epoch, saved at every second one.
    config = toy_config(epochs=2, save_every_steps=2)
    whole = train_language_model(Speller(0.2), toy_data(), config, seed=5)
    with pytest.raises(Killed):
        train_language_model(Speller(0.2), toy_data(), config, seed=5, report=Saver(tmp_path, dies_after))
    found = load_checkpoint(tmp_path, LanguageProgress)
    assert (found.progress.epoch, found.progress.step) == {3: (0, 2), 6: (1, 6)}[dies_after]
    resumed = train_language_model(Speller(0.2), toy_data(), config, seed=5, checkpoint=found)
    assert timeless(resumed.history) == timeless(whole.history)
    for name, tensor in whole.last.items():
        assert torch.equal(tensor, resumed.last[name]), name
    assert resumed.epoch == whole.epoch


def test_a_checkpoint_holds_safetensors_and_json_only(tmp_path):
    train_language_model(Speller(), toy_data(), toy_config(epochs=1), report=Saver(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.json", "state.safetensors"]
    found = load_checkpoint(tmp_path, LanguageProgress)
    assert found.best is not None
    assert {name.rpartition("/")[0] for name in found.optimizer} == set(found.weights) == set(found.best)


def test_frozen_weights_stay_and_are_not_kept():
    model = Speller()
    model.base.model.layers[1].requires_grad_(False)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = train_language_model(model, toy_data(), toy_config(epochs=1))
    frozen = {name for name in before if ".layers.1." in name}
    assert frozen.isdisjoint(result.last)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) == (name in frozen), name


def test_small_batches_add_up_to_the_step_of_a_large_one():
    # The mean is over the tokens of a step, however they are cut.
    data = LanguageData(Reversals(24, 1))
    common = {"epochs": 3, "selection": "last", "optim": {"lr": 1e-3, "eps": 1e-4}}
    large = train_language_model(Speller(), data, toy_config(batch_tokens=4096, batches_per_step=1, **common))
    small = train_language_model(Speller(), data, toy_config(batch_tokens=32, batches_per_step=99, **common))
    assert large.history[-1]["step"] == small.history[-1]["step"] == 3
    for name, tensor in large.last.items():
        torch.testing.assert_close(small.last[name], tensor, rtol=1e-3, atol=1e-5)


def test_gradient_checkpointing_changes_memory_and_not_what_is_learned():
    model = Speller()
    plain = train_language_model(Speller(), toy_data(), toy_config(epochs=1))
    spare = train_language_model(model, toy_data(), toy_config(epochs=1, gradient_checkpointing=True))
    assert model.checkpointed
    for name, tensor in plain.last.items():
        torch.testing.assert_close(spare.last[name], tensor, rtol=1e-4, atol=1e-6)


def test_a_model_without_a_choice_of_attention_says_so():
    with pytest.raises(RapportError, match="Speller computes attention in its own way: set attention to sdpa"):
        train_language_model(Speller(), toy_data(), toy_config(attention="eager"))


def test_the_rate_rises_falls_and_ends_at_its_floor():
    reports: list[Report] = []
    train_language_model(Speller(), toy_data(), toy_config(epochs=4, warmup_ratio=0.25, floor=0.1), report=reports.append)
    rates = [report.learning_rates["model"] for report in reports if report.record is None]
    assert len(rates) == reports[-1].total_steps
    peak = int(np.argmax(rates))
    assert 0 < peak < len(rates) / 2
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)
    assert rates[-1] < 0.2 * max(rates)


def test_the_best_epoch_is_selected_and_patience_ends_the_training():
    # So high a rate that it gets worse.
    result = train_language_model(Speller(), toy_data(), toy_config(epochs=30, patience=2, optim={"lr": 0.3}, schedule="constant"))
    losses = [record["validation"]["loss"] for record in result.history]
    assert result.stopped
    assert result.epoch == int(np.argmin(losses)) + 1
    assert len(losses) == result.epoch + 2
    assert any(not torch.equal(result.weights[name], tensor) for name, tensor in result.last.items())


def test_what_does_not_fit_is_told():
    with pytest.raises(RapportError, match=r"no validation examples.*selection to last"):
        train_language_model(Speller(), toy_data(validation=0), toy_config())
    with pytest.raises(RapportError, match="no parameter of the model trains"):
        train_language_model(Speller().requires_grad_(False), toy_data(), toy_config())
    model = Speller()
    with torch.no_grad():
        model.base.model.norm.weight.fill_(float("nan"))
    with pytest.raises(RapportError, match="the loss is"):
        train_language_model(model, toy_data(), toy_config(epochs=1))


def test_figures_of_tasks_add_up_to_those_of_all_and_change_nothing_that_is_learned():
    data = toy_data()
    assert data.validation is not None
    places = np.arange(len(data.validation.lengths))
    parts = {"even": places[::2], "odd": places[1::2]}
    whole = train_language_model(Speller(), data, toy_config(epochs=2))
    told = train_language_model(Speller(), replace(data, tasks=parts), toy_config(epochs=2))
    assert whole.validation is not None
    assert told.validation is not None
    per_task = told.validation["per_task"]
    assert list(per_task) == ["even", "odd"]
    assert sum(part["tokens"] for part in per_task.values()) == told.validation["tokens"] == whole.validation["tokens"]
    assert sum(part["loss"] * part["tokens"] for part in per_task.values()) == pytest.approx(
        whole.validation["loss"] * whole.validation["tokens"]
    )
    for name, tensor in whole.last.items():
        assert torch.equal(tensor, told.last[name]), name
