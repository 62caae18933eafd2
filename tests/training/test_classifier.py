import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.training.checkpoint import Checkpoint, ClassifierProgress, load_checkpoint
from rapport.training.classifier import train_classifier
from rapport.training.clips import ClassifierData, Clips
from rapport.training.report import Report, Reporting
from rapport.training.weights import copy_of, learned
from tests.training.conftest import CORPORA, EMOTIONS, tone, tone_clips, tone_rows


def saved(folder: Path) -> Checkpoint[ClassifierProgress]:
    return load_checkpoint(folder, ClassifierProgress)


class Killed(Exception):
    pass


class Saver:
    """Saves every checkpoint it is offered, keeps the reports, and may kill the training at a step."""

    def __init__(self, folder: Path, kill_at: int | None = None) -> None:
        self.folder, self.kill_at = folder, kill_at
        self.reports: list[Report] = []
        self.saved = 0

    def __call__(self, report: Report) -> None:
        self.reports.append(report)
        if report.checkpoint is not None:
            report.checkpoint.save(self.folder)
            self.saved += 1
        if report.step == self.kill_at:
            raise Killed

    @property
    def steps(self) -> list[int]:
        return [r.step for r in self.reports if r.record is None]


def without_times(history):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in history]


def augment(samples: np.ndarray, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return samples[random.integers(0, 500) :] * np.float32(random.uniform(0.5, 1))


def test_it_learns_to_tell_tones_apart(data, make_model, settings):
    result = train_classifier(make_model(), data, settings(epochs=15, ema_decay=0.8, mixup=0.0))
    assert result.validation is not None
    assert result.validation.brief()["uar"] > 0.9
    assert result.tests["tones"].full()["uar"] > 0.9
    assert result.history[-1]["train"]["loss"] < result.history[0]["train"]["loss"]


@pytest.mark.parametrize("last", [False, True])
def test_a_checkpoint_that_is_asked_for_is_saved_within_the_epoch_or_at_its_end(last, data, make_model, settings, tmp_path):
    saver = Saver(tmp_path)
    config = settings(epochs=3, save_every_epochs=3)
    steps = len(data.train) // config.batch_size
    at = steps if last else 1
    train_classifier(make_model(), data, config, report=Reporting(saver, lambda step: step == at))
    offered = [(report.step, report.record is not None) for report in saver.reports if report.checkpoint is not None]
    assert offered == [(at, last), (3 * steps, True)]


@pytest.mark.parametrize("kill_at", np.random.default_rng().integers(1, 25, 2).tolist())
def test_killed_at_a_random_step_and_resumed_it_ends_as_if_never_interrupted(kill_at, data, make_model, settings, tmp_path):
    data = ClassifierData(tone_clips(range(4), corpora=CORPORA), data.validation, data.tests, augment)
    domain = {"domain": {"grl_lambda": 0.5, "domains": 2}}
    config = settings(save_every_steps=1, accumulate=2, batch_size=3, balanced=True)
    whole_model = make_model(**domain)
    whole = train_classifier(whole_model, data, config, seed=7)

    with pytest.raises(Killed):
        train_classifier(make_model(**domain), data, config, seed=7, report=Saver(tmp_path, kill_at))
    np.random.seed(99)
    torch.manual_seed(99)
    model = make_model(seed=5, **domain)
    resumed = train_classifier(model, data, config, seed=7, checkpoint=saved(tmp_path), report=Saver(tmp_path / "b"))

    assert without_times(resumed.history) == without_times(whole.history)
    assert resumed.epoch == whole.epoch
    for name, tensor in learned(whole_model).items():
        assert torch.equal(tensor, learned(model)[name]), name
    for name, tensor in whole.last.items():
        assert torch.equal(tensor, resumed.last[name]), name
    assert np.array_equal(whole.tests["tones"].probabilities, resumed.tests["tones"].probabilities)


def test_a_resumed_training_takes_only_the_steps_that_remain(data, make_model, settings, tmp_path):
    with pytest.raises(Killed):
        train_classifier(make_model(), data, settings(save_every_steps=1), report=Saver(tmp_path, 6))
    after = Saver(tmp_path)
    train_classifier(make_model(), data, settings(save_every_steps=1), report=after, checkpoint=saved(tmp_path))
    assert after.steps == list(range(7, 13))


def test_a_finished_training_resumes_to_its_result_without_a_step(data, make_model, settings, tmp_path):
    saver = Saver(tmp_path)
    whole = train_classifier(make_model(), data, settings(), report=saver)
    again = Saver(tmp_path)
    result = train_classifier(make_model(), data, settings(), report=again, checkpoint=saved(tmp_path))
    assert again.reports == []
    assert result.validation is not None
    assert whole.validation is not None
    assert np.array_equal(result.validation.probabilities, whole.validation.probabilities)


def test_another_seed_gives_another_training(data, make_model, settings):
    losses = [train_classifier(make_model(), data, settings(epochs=1), seed=seed).history[0]["train"]["loss"] for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_the_selected_weights_are_those_of_the_best_epoch_and_the_last_are_kept(data, make_model, settings):
    model = make_model()
    # A rate so high that the later epochs undo what the first ones learned.
    config = settings(epochs=6, ema_decay=0.0, schedule={"name": "constant"}, optim={"lr": 0.05}, select_by="loss")
    result = train_classifier(model, data, config, seed=1)
    losses = [record["validation"]["loss"] for record in result.history]
    assert result.validation is not None
    assert result.epoch == int(np.argmin(losses)) + 1
    assert result.validation.loss == pytest.approx(min(losses))
    same = all(torch.equal(tensor, result.last[name]) for name, tensor in learned(model).items())
    assert same == (result.epoch == 6)


def test_the_running_mean_is_what_is_evaluated_and_saved(data, make_model, settings):
    model = make_model()
    result = train_classifier(model, data, settings(epochs=1, ema_decay=0.9999, optim={"lr": 1e-4}, selection="last"))
    plain = make_model()
    train_classifier(plain, data, settings(epochs=1, ema_decay=0.0, optim={"lr": 1e-4}, selection="last"))
    weight = "head.output.weight"
    assert not torch.equal(learned(model)[weight], learned(plain)[weight])
    assert torch.equal(learned(model)[weight], result.last[weight])


def test_without_validation_clips_the_last_epoch_is_taken(data, make_model, settings):
    result = train_classifier(make_model(), ClassifierData(data.train, None, data.tests), settings(selection="last"))
    assert result.epoch == 3
    assert result.validation is None
    assert all(record["validation"] is None for record in result.history)
    assert len(result.tests["tones"].classes) == 12


@pytest.mark.parametrize("changes", [{}, {"selection": "last", "patience": 2}])
def test_selecting_by_validation_without_any_is_refused(data, make_model, settings, changes):
    with pytest.raises(RapportError, match="no validation clips"):
        train_classifier(make_model(), ClassifierData(data.train, tone_clips(range(0))), settings(**changes))


def test_patience_ends_a_training_that_no_longer_improves(data, make_model, settings):
    config = settings(epochs=30, patience=2, ema_decay=0.0)
    result = train_classifier(make_model(), data, config)
    assert result.stopped
    assert len(result.history) == result.epoch + 2 < 30


def test_evaluation_can_be_rarer_than_epochs_but_the_last_is_evaluated(data, make_model, settings):
    result = train_classifier(make_model(), data, settings(epochs=5, evaluate_every=2))
    assert [record["validation"] is not None for record in result.history] == [False, True, False, True, True]


def test_the_test_clips_are_read_after_all_training_and_once(data, make_model, settings):
    events: list[str] = []

    def load(name: str) -> np.ndarray:
        events.append(name)
        return tone(name)

    tests = Clips(tone_rows(range(6, 8)), load, EMOTIONS, ("tones",))
    watched = ClassifierData(data.train, data.validation, {"tones": tests})
    train_classifier(make_model(), watched, settings(), report=lambda report: events.append("step"))
    last_step = len(events) - 1 - events[::-1].index("step")
    assert sorted(events[last_step + 1 :]) == sorted(row.utterance_id for row in tests.rows)
    assert set(events[:last_step]) == {"step"}


def test_only_training_clips_are_augmented_and_each_epoch_differently(data, make_model, settings):
    seeds = []

    def spy(samples: np.ndarray, seed: int) -> np.ndarray:
        seeds.append(seed)
        return samples

    train_classifier(make_model(), ClassifierData(data.train, data.validation, data.tests, spy), settings())
    assert len(seeds) == len(set(seeds)) == 3 * len(data.train)


def test_accumulated_batches_give_the_gradient_of_one_large_batch(data, make_model, settings):
    # A frozen encoder, because batch normalisation sees each batch on its own.
    logmel = {"bands": 16, "width": 0.3, "projection": 16, "gru_hidden": 8, "pitch": {"candidates": 0}}
    results = []
    for size, accumulate in ((24, 1), (12, 2)):
        model = make_model(encoder={"freeze": True, "logmel": logmel}, head={"hidden": 16, "dropout": 0.0})
        # A large eps, or Adam would make whole steps of the rounding where a gradient is 0 (the bias of the attention).
        optim = {"lr": 0.01, "eps": 1e-3}
        config = settings(batch_size=size, accumulate=accumulate, mixup=0.0, epochs=2, selection="last", ema_decay=0.0, optim=optim)
        train_classifier(model, data, config)
        results.append(copy_of(learned(model)))
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, atol=1e-5, rtol=1e-4)


def test_clips_read_ahead_by_threads_change_nothing(data, make_model, settings):
    histories = [
        without_times(train_classifier(make_model(), data, settings(epochs=1, loader_threads=threads)).history) for threads in (0, 3)
    ]
    assert histories[0] == histories[1]


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_saved(data, make_model, settings, tmp_path):
    model = make_model()
    torch.nn.init.constant_(model.head.output.weight, math.inf)
    with pytest.raises(RapportError, match=r"loss is nan.*optim\.lr"):
        train_classifier(model, data, settings(save_every_steps=1), report=Saver(tmp_path))
    assert not (tmp_path / "state.json").exists()


def test_the_domain_branch_learns_and_its_strength_grows(data, make_model, settings):
    model = make_model(domain={"grl_lambda": 1.0, "domains": 2})
    strengths = []
    both = ClassifierData(tone_clips(range(4), corpora=CORPORA), tone_clips(range(4, 6), corpora=CORPORA))
    result = train_classifier(model, both, settings(), report=lambda report: strengths.append(model.domain.strength))
    assert strengths == sorted(strengths)
    assert strengths[0] < 0.1
    assert strengths[-1] > 0.9
    assert 0 <= result.history[-1]["validation"]["domain_wa"] <= 1
    assert 0 <= result.history[-1]["train"]["domain_wa"] <= 1


@pytest.mark.parametrize("loss", [{"focal_gamma": 2.0}, {"triplet_weight": 0.5}, {"own_emotions_only": True}, {"class_weight_power": 1.0}])
def test_every_form_of_the_loss_trains(loss, make_model, settings):
    both = ClassifierData(tone_clips(range(4), corpora=CORPORA))
    result = train_classifier(make_model(), both, settings(epochs=6, loss=loss, selection="last", mixup=0.1))
    assert result.history[-1]["train"]["loss"] < result.history[0]["train"]["loss"]


def test_a_checkpoint_of_another_model_is_refused(data, make_model, settings, tmp_path):
    train_classifier(make_model(), data, settings(epochs=1), report=Saver(tmp_path))
    with pytest.raises(RapportError, match=r"another model.*head\.hidden"):
        train_classifier(make_model(head={"hidden": 24}), data, settings(epochs=2), checkpoint=saved(tmp_path))
    with pytest.raises(RapportError, match="ema_decay"):
        train_classifier(make_model(), data, settings(epochs=2, ema_decay=0.0), checkpoint=saved(tmp_path))
