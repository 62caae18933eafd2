"""Model folders: saved, loaded, and refused when something does not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from rapport.core.errors import RapportError
from rapport.models.emosds.config import EmosdsConfig, InjectionConfig, TrainableConfig
from rapport.models.emosds.lineage import Lineage
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.pretrained import build_model, from_pretrained, save_pretrained
from rapport.models.emosds.trainable import apply_trainable
from rapport.models.ser.config import LoraConfig
from tests.models.emosds.tiny import TEXTS, decisive, example, speech, tiny_config

LINEAGE = Lineage(stage=1, codebook_hash="c" * 64, residual_sign="centroid-frame", tokens_hash="t" * 64, predecessors=("runs/base",))


def _loss(model: SpeechLanguageModel) -> float:
    with torch.no_grad():
        return float(model.eval()(**model.collator()([example(2), example(2, "b")], [speech(9), speech(17)])).loss_sum)


@pytest.mark.parametrize("kind", ["tile", "linear", "strided"])
def test_a_loaded_model_is_the_saved_one(build: Callable[..., SpeechLanguageModel], kind: str, tmp_path: Path) -> None:
    model = build(injection=InjectionConfig(kind=kind))
    model.fit_scale(torch.randn(50, 6))
    save_pretrained(model, tmp_path / "m", lineage=LINEAGE, metrics={"loss": 1.5})
    loaded = from_pretrained(tmp_path / "m")
    assert _loss(loaded) == _loss(model)
    assert loaded.settings == model.settings
    assert loaded.lineage == LINEAGE
    assert loaded.manifest == model.manifest
    assert json.loads((tmp_path / "m" / "metrics.json").read_text()) == {"loss": 1.5}
    assert {p.suffix for p in (tmp_path / "m").rglob("*") if p.is_file()} <= {".json", ".safetensors", ".md", ".jinja"}


def test_the_base_is_a_folder_that_other_tools_read(model: SpeechLanguageModel, tmp_path: Path) -> None:
    save_pretrained(model, tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    assert len(AutoTokenizer.from_pretrained(tmp_path / "base")) == base.config.vocab_size == model.manifest.size
    assert base.get_output_embeddings().weight is base.get_input_embeddings().weight


def test_a_published_layout_is_a_base(tmp_path: Path) -> None:
    """Any causal language model on disk, here another family than Llama, without a pad token."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from rapport.models.backends.llm.embedded import train_tokenizer

    tokenizer: PreTrainedTokenizerFast = train_tokenizer(TEXTS, 300)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=24, n_layer=2, n_head=2)).save_pretrained(tmp_path)
    model = decisive(build_model(tiny_config(base=str(tmp_path))))
    assert model.manifest.pad == model.tokenizer.convert_tokens_to_ids("<|pad|>")
    assert _loss(model) > 0
    report = apply_trainable(model, TrainableConfig(layers=(0,)), stage=2)
    assert set(report.parts) == {"layers", "embeddings"}


def test_building_is_a_function_of_the_seed() -> None:
    first, again, other = (build_model(tiny_config(), TEXTS, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert _loss(first) != _loss(other)


def test_new_rows_are_drawn_and_old_ones_kept(tmp_path: Path) -> None:
    model = build_model(tiny_config(base=str(_saved_base(tmp_path))))
    base: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "b")
    old = base.get_input_embeddings().weight
    rows = model.base.get_input_embeddings().weight.detach()
    assert torch.equal(rows[: len(old)], old)
    assert float(rows[len(old) :].std()) == pytest.approx(base.config.initializer_range, rel=0.2)


def test_adapters_are_kept_in_peft_form(build: Callable[..., SpeechLanguageModel], tmp_path: Path) -> None:
    from peft import PeftModel

    model = build()
    apply_trainable(model, TrainableConfig(lora=LoraConfig(rank=2)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_pretrained(model, tmp_path, weights=weights)
    loaded = from_pretrained(tmp_path)
    assert _loss(loaded) == pytest.approx(_loss(model), abs=1e-4)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    theirs = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
    ids = torch.arange(12)[None]
    assert torch.allclose(theirs(ids).logits, loaded.base(ids).logits, atol=1e-5)
    before = _loss(loaded)
    report = apply_trainable(loaded, TrainableConfig())
    assert "adapters" not in report.parts
    assert _loss(loaded) == pytest.approx(before, abs=1e-3)
    save_pretrained(loaded, tmp_path)
    assert not (tmp_path / "adapter").exists()
    assert _loss(from_pretrained(tmp_path)) == pytest.approx(before, abs=1e-3)


def test_weights_of_a_sharded_training_replace_the_models(model: SpeechLanguageModel, tmp_path: Path) -> None:
    weights = {name: tensor.clone() * 0.5 if tensor.is_floating_point() else tensor for name, tensor in model.state_dict().items()}
    save_pretrained(model, tmp_path, weights=weights)
    loaded = from_pretrained(tmp_path)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.state_dict().items())


def test_a_folder_that_does_not_fit_is_refused(model: SpeechLanguageModel, tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="does not exist"):
        from_pretrained(tmp_path / "none")
    save_pretrained(model, tmp_path / "m")
    tokens = json.loads((tmp_path / "m" / "tokens.json").read_text())
    (tmp_path / "m" / "tokens.json").write_text(json.dumps(tokens | {"vocabulary": "0" * 64}))
    with pytest.raises(RapportError, match="they were not saved together"):
        from_pretrained(tmp_path / "m")
    (tmp_path / "m" / "config.json").unlink()
    with pytest.raises(RapportError, match=r"has no config\.json"):
        from_pretrained(tmp_path / "m")


def test_a_base_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="cannot load the language model"):
        build_model(EmosdsConfig(base=str(tmp_path)))


def test_a_stage_continues_its_predecessor_only() -> None:
    start = Lineage()
    one = start.next(1, "c1", "centroid-frame", "t1", "runs/base")
    two = one.next(2, "c1", "centroid-frame", "t1", "runs/one")
    assert (two.stage, two.predecessors) == (2, ("runs/base", "runs/one"))
    assert one.next(1, "c1", None, "t1", "runs/one").residual_sign == "centroid-frame"
    with pytest.raises(RapportError, match="runs/base is a model of stage 0: stage 2 wants one of stage 1"):
        start.next(2, "c1", None, "t1", "runs/base")
    for codebook, sign, tokens, name in (
        ("c2", None, "t1", "codebook"),
        ("c1", "frame-centroid", "t1", "sign"),
        ("c1", None, "t2", "tokens"),
    ):
        with pytest.raises(RapportError, match=name):
            one.next(2, codebook, sign, tokens, "runs/one")


def _saved_base(folder: Path) -> Path:
    from rapport.models.backends.llm.embedded import write_embedded

    return write_embedded(folder / "b", TEXTS, tiny_config().embedded)
