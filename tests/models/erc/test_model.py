"""The language model: its loss, and which of its weights learn."""

import pytest
import torch
from transformers import AutoModelForCausalLM, MistralConfig

from rapport.core.errors import RapportError
from rapport.models.erc.collate import ErcData
from rapport.models.erc.model import _projections, apply_trainable
from rapport.models.erc.model_config import ErcModelConfig, ErcTrainableConfig
from rapport.models.erc.pretrained import build_model
from rapport.models.ser.config import LoraConfig
from rapport.training.sft import LanguageData, train_language_model
from rapport.training.sft_config import AdamWConfig, SftConfig
from tests.models.erc.tiny_llm import base_folder, build, decisive, example, learn_something, tiny

ROWS = [example(n) for n in range(4)]


def test_the_loss_is_that_of_the_base_model() -> None:
    model = tiny()
    batch = model.collator()(ROWS)
    with torch.no_grad():
        output = model(**batch)
        expected = model.base(**batch)
    right = expected.logits[:, :-1].argmax(-1) == batch["labels"][:, 1:]
    assert float(output.loss_sum / output.token_count) == pytest.approx(float(expected.loss), rel=1e-5)
    assert int(output.correct) == int(right.sum())


def test_logits_are_made_for_what_is_learned_only() -> None:
    model, seen = tiny(), []
    handle = model.base.get_output_embeddings().register_forward_hook(lambda _m, _i, out: seen.append(len(out)))
    output = model(**model.collator()(ROWS))
    handle.remove()
    assert seen == [int(output.token_count)]


def test_kernels_of_attention_agree() -> None:
    model = build(attention="eager")
    batch = model.collator()(ROWS)
    with torch.no_grad():
        first = float(model(**batch).loss_sum)
        model.set_attention("sdpa")
        assert model.config._attn_implementation == "sdpa"
        assert float(model(**batch).loss_sum) == pytest.approx(first, rel=1e-4)
    with pytest.raises(RapportError, match="attention 'flash_attention_9' cannot be used here"):
        model.set_attention("flash_attention_9")


def test_adapters_learn_alone_and_begin_without_effect() -> None:
    model = build()
    batch = model.collator()(ROWS)
    before = float(model(**batch).loss_sum.detach())
    report = apply_trainable(model, ErcTrainableConfig())
    assert set(report.parts) == {"adapters"}
    # Two layers, three projections of 24 to 24, rank 16.
    assert report.trained == 2 * 3 * 16 * 48
    assert float(model.eval()(**batch).loss_sum) == pytest.approx(before, rel=1e-6)
    assert set(apply_trainable(model, ErcTrainableConfig(embeddings=True)).parts) == {"adapters", "embeddings"}
    with pytest.raises(RapportError, match=r"lora\.rank is 4, and the model before has adapters of rank 16"):
        apply_trainable(model, ErcTrainableConfig(lora=LoraConfig(rank=4)))


def test_adapters_are_merged_where_all_weights_learn() -> None:
    model = build()
    apply_trainable(model, ErcTrainableConfig())
    learn_something(model)
    batch = model.eval().collator()(ROWS)
    before = float(model(**batch).loss_sum)
    report = apply_trainable(model, ErcTrainableConfig(lora=LoraConfig()))
    assert set(report.parts) == {"embeddings", "layers"}
    assert report.trained == report.total
    assert float(model(**batch).loss_sum) == pytest.approx(before, rel=1e-4)


def test_a_model_forgets_its_reference_when_its_own_weights_learn(tmp_path) -> None:
    config = ErcModelConfig(base=str(base_folder(tmp_path)))
    model = build_model(config)
    apply_trainable(model, ErcTrainableConfig())
    assert model.reference is not None
    assert model.reference.source == str(tmp_path)
    apply_trainable(model, ErcTrainableConfig(embeddings=True))
    assert model.reference is None


def test_a_mistral_of_7b_has_as_many_adapter_weights_as_published() -> None:
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(MistralConfig())
    names = _projections(base)
    assert names == ("q_proj", "k_proj", "v_proj")
    linear = [m for n, m in base.named_modules() if n.rsplit(".", 1)[-1] in names]
    rank = ErcTrainableConfig().lora.rank
    assert sum(rank * (m.in_features + m.out_features) for m in linear) == 9_437_184


@pytest.mark.parametrize("checkpointing", [False, True])
def test_it_learns_the_answers_it_is_shown(checkpointing: bool) -> None:
    """The loop of supervised training, on adapters over a random base and on all weights alike."""
    model = decisive(build())
    apply_trainable(model, ErcTrainableConfig(lora=LoraConfig(rank=8, dropout=0.0, targets=("q_proj", "v_proj", "down_proj", "up_proj"))))
    data = ErcData(ROWS, model.collator())
    config = SftConfig(
        epochs=12, batch_tokens=600, selection="last", optim=AdamWConfig(lr=2e-2), gradient_checkpointing=checkpointing, precision="fp32"
    )
    result = train_language_model(model, LanguageData(data), config)
    losses = [record["train"]["loss"] for record in result.history]
    assert losses[-1] < 0.5 * losses[0]
    assert all("lora_" in name for name in result.weights)
