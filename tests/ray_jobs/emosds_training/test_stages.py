"""What a worker does in each stage, without Ray; and what a stage refuses to start from."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rapport.core import storage
from rapport.core.config import with_values
from rapport.core.errors import RapportError
from rapport.core.examples import STAGES, Stage
from rapport.models.emosds.injection import ProjectedInjection
from rapport.models.emosds.pretrained import from_pretrained
from rapport.ray_jobs.emosds_training.config import StageRunConfig, TrainEmosdsConfig, resolved, stage_run
from rapport.ray_jobs.emosds_training.data import describe, language_data, read_stage, told
from rapport.ray_jobs.emosds_training.sources import Sources, check_lineage, find_sources, fitted_model
from rapport.ray_jobs.emosds_training.worker import fit_scale, save_model, start_model
from rapport.training.sft import LanguageResult, train_language_model
from tests.ray_jobs.emosds_training.toy import build_toy, settings
from tests.toy_emosds import write_model

# inputs, the model before, the stage, and whether the scale of residuals is fitted when it begins
FITTED = [
    ("units+residuals", "", 1, False),
    ("units+residuals", "random-1", 1, False),
    ("units+residuals", "random-1", 2, True),
    ("units+residuals", "random-2", 2, False),
    ("units+residuals", "random-2", 3, False),
    ("residuals", "", 1, True),
    ("residuals", "voice-1", 1, False),
    ("residuals", "voice-1", 2, False),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = build_toy(tmp_path_factory.mktemp("storage"))
    for stage in (1, 2):
        write_model(root / "models" / "emosds" / f"random-{stage}", stage=stage)
    write_model(root / "models" / "emosds" / "voice-1", inputs="residuals", stage=1)
    return root


def prepared(config: TrainEmosdsConfig, stage: Stage) -> tuple[StageRunConfig, Sources]:
    config = resolved(config)
    sources = find_sources(config, stage)
    return stage_run(config, stage, fitted_model(config.model, sources)), sources


def trained(config: TrainEmosdsConfig, stage: Stage) -> LanguageResult:
    run, sources = prepared(config, stage)
    lineage = check_lineage(run.model, sources, stage)
    model, _ = start_model(run, sources)
    train, validation = read_stage(run, sources, model.collator())
    fit_scale(model, train, run.stage)
    result = train_language_model(model, language_data(train, validation), run.training)
    save_model(model, run, lineage, result)
    return result


def test_each_stage_learns_and_starts_from_the_one_before(root):
    for stage in STAGES:
        losses = [record["train"]["loss"] for record in trained(settings(root, "chain"), stage).history]
        assert losses[-1] < losses[0]
    last = from_pretrained(root / "models/emosds/chain-stage-3")
    assert last.lineage.stage == 3
    assert len(last.lineage.predecessors) == 3
    assert last.injection.state_dict()["mean"].any()


def test_the_length_of_an_example_is_known_without_its_speech(root):
    for stage, before in zip(STAGES, ("", "random-1", "random-2"), strict=True):
        run, sources = prepared(settings(root, "lengths", stage=str(stage), start_from=before), stage)
        train, validation = read_stage(run, sources, start_model(run, sources)[0].collator())
        for side in (train, validation):
            indices = np.arange(len(side.examples))
            assert np.array_equal(side.batch(indices)["attention_mask"].sum(1).numpy(), side.lengths)


def test_examples_that_are_too_long_are_left_out_and_told(root):
    config = with_values(settings(root, "short"), {"model.max_tokens": 34, "stage_1.training.batch_tokens": 512})
    run, sources = prepared(config, 1)
    train, validation = read_stage(run, sources, start_model(run, sources)[0].collator())
    assert 0 < train.too_long < 64
    assert len(train.examples) + train.too_long == 64
    assert f"{train.too_long} left out as too long (model.max_tokens)" in next(told(describe(train, validation)))


def test_a_stage_rehearses_those_before_it(root):
    config = with_values(settings(root, "again", stage="3", start_from="random-2"), {"stage_3.rehearsal": 0.5})
    run, sources = prepared(config, 3)
    collator = start_model(run, sources)[0].collator()
    train, validation = read_stage(run, sources, collator)
    own = [example for example in train.examples if example.stage == 3]
    again = train.examples[len(own) :]
    assert len(again) == train.rehearsed == round(0.5 * len(own))
    assert {example.stage for example in again} == {1, 2}
    assert len({example.example_id for example in again}) == len(again)
    assert {example.stage for example in validation.examples} == {3}
    indices = np.arange(len(train.examples))
    assert np.array_equal(train.batch(indices)["attention_mask"].sum(1).numpy(), train.lengths)
    assert f"{train.rehearsed} of them of earlier stages" in next(told(describe(train, validation)))
    assert [e.example_id for e in read_stage(run, sources, collator)[0].examples] == [e.example_id for e in train.examples]


def test_the_start_of_a_stage_is_the_same_on_every_worker(root):
    run, sources = prepared(settings(root, "same"), 1)
    one, other = (start_model(run, sources)[0].state_dict() for _ in range(2))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_adapters_are_drawn_by_the_seed(root):
    def adapters(seed: int) -> dict[str, torch.Tensor]:
        run, sources = prepared(settings(root, "drawn", stage="3", start_from="random-2", seed=seed), 3)
        torch.manual_seed(17 + seed)  # what was drawn before makes no difference
        model, report = start_model(run, sources)
        assert "adapters" in report.parts
        return {name: p.detach() for name, p in model.named_parameters() if "lora_A" in name}

    one, same, other = adapters(1), adapters(1), adapters(2)
    assert one
    assert all(torch.equal(tensor, same[name]) for name, tensor in one.items())
    assert not any(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(("inputs", "start_from", "stage", "fitted"), FITTED)
def test_the_scale_of_residuals_is_fitted_before_weights_are_learned_on_it_and_never_again(root, inputs, start_from, stage, fitted):
    config = with_values(settings(root, "scale", stage=str(stage), start_from=start_from), {"model.inputs": inputs})
    run, sources = prepared(config, stage)
    model, _ = start_model(run, sources)
    assert isinstance(model.injection, ProjectedInjection)
    before = model.injection.mean.clone()
    fit_scale(model, read_stage(run, sources, model.collator())[0], stage)
    assert torch.equal(model.injection.mean, before) is not fitted


def test_a_model_that_reads_needs_no_units(root):
    run, sources = prepared(with_values(settings(root, "text"), {"model.inputs": "text"}), 1)
    assert sources.units == ()
    train, _ = read_stage(run, sources, start_model(run, sources)[0].collator())
    assert "residuals" not in train.batch(np.arange(2))


def refusal(root: Path, stage: str, start_from: str = "", **changes) -> str:
    values = {"residual_width": 4, "clusters": 9, "injection": {"kind": "linear"}, **changes.pop("model", {})}
    model = {**settings(root, "x").model.model_dump(), "embedded": {"hidden": 32, "layers": 1, "heads": 2, "mlp": 32, "vocabulary": 300}}
    config = settings(root, "refused", stage=stage, start_from=start_from, model={**model, **values}, **changes)
    run, sources = prepared(config, config.stages[0])
    with pytest.raises(RapportError) as refused:
        check_lineage(run.model, sources, config.stages[0])
    return str(refused.value)


def test_a_stage_refuses_a_model_that_it_cannot_follow(root, tmp_path):
    with pytest.raises(RapportError, match=r"stage 2 starts from the model of stage 1.*is none"):
        find_sources(settings(root, "nothing", stage="2"), 2)
    assert "is a model of stage 1: stage 3 wants one of stage 2" in refusal(root, "3", "random-1")
    assert "model.emotions was" in refusal(root, "2", "random-1", model={"emotions": ("angry", "sad")})
    assert "model.injection was" in refusal(root, "2", "random-1", model={"injection": {"kind": "tile"}})


def test_a_stage_refuses_units_of_another_codebook_or_without_residuals(root, tmp_path):
    for name, fact, value in (("other", "codebook_hash", "1" * 64), ("plain", "residual_sign", None), ("turned", "residual_sign", "x")):
        shutil.copytree(root / "features/units/esd/0", tmp_path / name)
        manifest = storage.read_manifest(tmp_path / name)
        manifest["features"][fact] = value
        storage.finish(tmp_path / name, manifest)
    assert "was trained with codebook 0000" in refusal(root, "2", "random-1", units=[str(tmp_path / "other")])
    assert "holds no residuals" in refusal(root, "2", "random-1", units=[str(tmp_path / "plain")])
    assert "was trained with residual sign centroid-frame" in refusal(root, "2", "random-1", units=[str(tmp_path / "turned")])
