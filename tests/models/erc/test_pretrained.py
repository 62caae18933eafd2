"""Model folders: whole, or adapters with a reference to their base, which is checked."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from rapport.core.errors import RapportError
from rapport.models.adapters import has_adapters
from rapport.models.backends.llm.embedded import train_tokenizer
from rapport.models.erc.generation import ErcGenerator, Prompt
from rapport.models.erc.model import ErcModel, apply_trainable
from rapport.models.erc.model_config import ErcGenerationConfig, ErcModelConfig, ErcTrainableConfig
from rapport.models.erc.pretrained import build_model, from_pretrained, load_adapter, save_pretrained
from rapport.models.ser.config import LoraConfig
from tests.models.erc.tiny_llm import SIZES, TEXTS, base_folder, build, example, learn_something, prompt

LORA = ErcTrainableConfig(lora=LoraConfig(rank=4, alpha=8))


def _loss(model: ErcModel) -> float:
    with torch.no_grad():
        return float(model.eval()(**model.collator()([example(1), example(4)])).loss_sum)


def _answers(model: ErcModel) -> dict[str, str]:
    prompts = [Prompt(str(n), prompt(n)) for n in range(5)]
    return {a.example_id: a.text for a in ErcGenerator(model, ErcGenerationConfig(max_new_tokens=12)).generate(prompts)}


def _adapted(base: Path, seed: int = 0) -> ErcModel:
    model = build_model(ErcModelConfig(base=str(base)))
    apply_trainable(model, LORA)
    learn_something(model, seed)
    return model.eval()


def test_a_whole_model_reloads_to_identical_answers(tmp_path: Path) -> None:
    model = build()
    save_pretrained(model, tmp_path / "m", metrics={"f1": 0.5}, facts={"stage": "erc"})
    loaded = from_pretrained(tmp_path / "m")
    assert _loss(loaded) == _loss(model)
    assert _answers(loaded) == _answers(model)
    assert loaded.settings == model.settings
    saved = json.loads((tmp_path / "m" / "config.json").read_text())
    assert (saved["kind"], saved["whole"], saved["facts"]) == ("coe", True, {"stage": "erc"})
    assert {p.suffix for p in (tmp_path / "m").rglob("*") if p.is_file()} <= {".json", ".safetensors", ".md", ".jinja"}


def test_an_adapter_goes_with_its_base_by_reference(tmp_path: Path) -> None:
    model = _adapted(base_folder(tmp_path / "b"))
    save_pretrained(model, tmp_path / "m")
    assert not (tmp_path / "m" / "base").exists()
    loaded = from_pretrained(tmp_path / "m")
    assert _answers(loaded) == _answers(model)
    assert _loss(loaded) == _loss(model)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "b"), str(tmp_path / "m" / "adapter"))
    ids = torch.arange(12)[None]
    with torch.no_grad():
        assert torch.allclose(theirs(ids).logits, loaded.base(ids).logits, atol=1e-5)


def test_a_base_that_has_moved_is_named(tmp_path: Path) -> None:
    model = _adapted(base_folder(tmp_path / "b"))
    save_pretrained(model, tmp_path / "m")
    shutil.move(tmp_path / "b", tmp_path / "c")
    with pytest.raises(RapportError, match="cannot read the files of the language model"):
        from_pretrained(tmp_path / "m")
    assert _loss(from_pretrained(tmp_path / "m", base=str(tmp_path / "c"))) == _loss(model)


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    """Of the same shape and tokenizer, with other weights: nothing else would notice."""
    save_pretrained(_adapted(base_folder(tmp_path / "b")), tmp_path / "m")
    other = base_folder(tmp_path / "other", seed=1)
    refused = r"the adapter in .*m was made for the language model '.*b', and this is '.*other', whose weights are not the same"
    with pytest.raises(RapportError, match=refused):
        from_pretrained(tmp_path / "m", base=str(other))
    model = build_model(ErcModelConfig(base=str(other)))
    with pytest.raises(RapportError, match=refused):
        load_adapter(model, tmp_path / "m")
    with pytest.raises(RapportError, match="the weights of this model are not those of any base"):
        load_adapter(build(), tmp_path / "m")


def test_adapters_are_exchanged_below_a_base_that_stays(tmp_path: Path) -> None:
    base = base_folder(tmp_path / "b")
    first, second = _adapted(base, 1), _adapted(base, 2)
    for name, model in (("one", first), ("two", second)):
        save_pretrained(model, tmp_path / name)
    model = build_model(ErcModelConfig(base=str(base)))
    plain, weights = _loss(model), model.base.get_input_embeddings().weight
    for name, wanted in (("one", first), ("two", second), ("one", first)):
        load_adapter(model, tmp_path / name)
        assert _loss(model) == _loss(wanted) != plain
        assert not model.training
    load_adapter(model, tmp_path / "two" / "adapter")
    assert _loss(model) == _loss(second)
    assert model.base.get_input_embeddings().weight is weights


def test_an_adapter_of_another_shape_is_refused_and_leaves_the_base_bare(tmp_path: Path) -> None:
    model = build()
    apply_trainable(model, LORA)
    save_pretrained(model, tmp_path / "m", whole=True)
    other = build(embedded=build().settings.embedded.model_copy(update={"hidden": 32}))
    plain = _loss(other)
    with pytest.raises(RapportError, match="was made for another model"):
        load_adapter(other, tmp_path / "m" / "adapter")
    assert not has_adapters(other.base)
    assert _loss(other) == plain


def test_adapters_on_a_model_saved_whole_refer_to_it(tmp_path: Path) -> None:
    save_pretrained(build(), tmp_path / "whole")
    model = from_pretrained(tmp_path / "whole")
    apply_trainable(model, LORA)
    learn_something(model)
    save_pretrained(model, tmp_path / "m")
    assert not (tmp_path / "m" / "base").exists()
    assert _loss(from_pretrained(tmp_path / "m")) == _loss(model.eval())
    with pytest.raises(RapportError, match="holds a whole model and no adapter"):
        load_adapter(model, tmp_path / "whole")


def test_weights_of_a_sharded_training_replace_the_models(tmp_path: Path) -> None:
    model = _adapted(base_folder(tmp_path / "b"))
    weights = {name: tensor.clone() * 0.5 for name, tensor in model.state_dict().items()}
    save_pretrained(model, tmp_path / "m", weights=weights, whole=True)
    loaded = from_pretrained(tmp_path / "m")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.state_dict().items())


def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="does not exist"):
        from_pretrained(tmp_path / "none")
    save_pretrained(build(), tmp_path / "m")
    saved = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(saved | {"model": {"colour": "red"}}))
    with pytest.raises(RapportError, match="was written by another version"):
        from_pretrained(tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(json.dumps(saved | {"kind": "emosds"}))
    with pytest.raises(RapportError, match="holds a 'emosds' model: wanted 'coe'"):
        from_pretrained(tmp_path / "m")


def test_building_is_a_function_of_the_seed() -> None:
    config = ErcModelConfig(base="embedded", embedded=build().settings.embedded)
    first, again, other = (build_model(config, TEXTS, seed) for seed in (1, 1, 2))
    assert _loss(first) == _loss(again) != _loss(other)


def test_the_embedded_base_takes_a_tokenizer_that_is_ready(tmp_path: Path) -> None:
    ready = train_tokenizer(["one tokenizer for prompts and model"] * 3, 300)
    ready.save_pretrained(tmp_path)
    model = build_model(ErcModelConfig(base="embedded", embedded=SIZES), seed=1, tokenizer=tmp_path)
    assert model.tokenizer.get_vocab() == ready.get_vocab()
    assert model.config.vocab_size == len(ready)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RapportError, match="cannot load the tokenizer"):
        build_model(ErcModelConfig(base="embedded", embedded=SIZES), tokenizer=tmp_path / "empty")
