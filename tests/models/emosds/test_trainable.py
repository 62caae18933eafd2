"""Which weights train."""

from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from transformers import LlamaConfig, LlamaForCausalLM

from rapport.core.errors import RapportError
from rapport.models.emosds.config import EmosdsConfig, InjectionConfig, TrainableConfig
from rapport.models.emosds.model import SpeechLanguageModel
from rapport.models.emosds.tokens import extend_tokenizer
from rapport.models.emosds.trainable import apply_trainable
from rapport.models.ser.config import LoraConfig
from tests.models.emosds.tiny import CLUSTERS, example, speech


def _moved(model: SpeechLanguageModel, stage: int = 2) -> set[str]:
    """Weights that a step of training changes."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.train()
    model(**model.collator()([example(stage)], [speech(9)])).loss_sum.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.01).step()
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


def test_layers_and_embeddings_train_and_the_rest_stays(build: Callable[..., SpeechLanguageModel]) -> None:
    model = build(injection=InjectionConfig(kind="linear"))
    report = apply_trainable(model, TrainableConfig(layers=(0,)), stage=2)
    assert set(report.parts) == {"embeddings", "layers", "injection"}
    moved = _moved(model)
    assert {n.split(".")[3] for n in moved if ".layers." in n} == {"0"}
    assert {n for n in moved if ".layers." not in n} == {
        "base.model.embed_tokens.weight",
        "injection.projection.weight",
        "injection.projection.bias",
    }


def test_everything_trains_in_the_last_stage(build: Callable[..., SpeechLanguageModel]) -> None:
    model = build()
    report = apply_trainable(model, TrainableConfig(), stage=3)
    assert report.trained == report.total
    assert _moved(model) == {n for n, _ in model.named_parameters()}


def test_every_trained_weight_gets_a_gradient_in_every_stage(build: Callable[..., SpeechLanguageModel]) -> None:
    """A distributed wrapper waits for all of them, also where a batch is rehearsed from stage 1 and has no residuals."""
    model = build(injection=InjectionConfig(kind="strided")).train()
    for stage in (1, 2, 3):
        for heard in (stage, 1):
            apply_trainable(model, TrainableConfig(), stage)
            model.zero_grad()
            model(**model.collator()([example(heard)], [speech(9)])).loss_sum.backward()
            assert not [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert model.injection.projection.weight.requires_grad is (stage > 1)  # type: ignore[union-attr]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_an_example_that_counts_nothing_gives_every_trained_weight_a_gradient_of_zeros(
    build: Callable[..., SpeechLanguageModel], stage: int
) -> None:
    """It stands in where a worker has no examples left for a step that the others take."""
    model = build(injection=InjectionConfig(kind="strided")).train()
    apply_trainable(model, TrainableConfig(), stage)
    (model(**model.collator()([example(stage)], [speech(1)])).loss_sum * 0).backward()
    trained = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert "injection.projection.weight" in trained or stage == 1
    assert all(gradient is not None and not gradient.any() for gradient in trained.values())


def test_adapters_train_alone_or_with_embeddings(build: Callable[..., SpeechLanguageModel]) -> None:
    model = build()
    report = apply_trainable(model, TrainableConfig(embeddings=False, lora=LoraConfig(rank=2, dropout=0)), stage=2)
    assert set(report.parts) == {"adapters"}
    assert {"lora_B" in name for name in _moved(model)} == {True}
    assert set(apply_trainable(model, TrainableConfig(lora=LoraConfig(rank=2)), stage=2).parts) == {"adapters", "embeddings"}
    with pytest.raises(RapportError, match=r"lora\.rank is 4, and the model before has adapters of rank 2"):
        apply_trainable(model, TrainableConfig(lora=LoraConfig(rank=4)))


def test_the_published_sizes_are_reached() -> None:
    """Llama-3.2-3B, without its memory: 604 M in six layers, 397 M in the embeddings, 3,216 M in all."""
    from tests.models.emosds.tiny import published_tokenizer

    tokenizer = published_tokenizer(reserved_pad=True)
    settings = EmosdsConfig()
    manifest = extend_tokenizer(tokenizer, settings.clusters, settings.emotions)
    shape = LlamaConfig(
        vocab_size=manifest.size,
        hidden_size=3072,
        intermediate_size=8192,
        num_hidden_layers=28,
        num_attention_heads=24,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = SpeechLanguageModel(LlamaForCausalLM(shape), tokenizer, manifest, settings)
    report = apply_trainable(model, TrainableConfig(layers=tuple(range(6))), stage=1)
    assert report.parts == {"embeddings": 397_105_152, "layers": 604_016_640}
    assert str(report).startswith("1,001,121,792 of 3,215,852,544 parameters train (31.1 %)")


def test_settings_that_train_nothing_or_contradict_are_refused(
    model: SpeechLanguageModel, build: Callable[..., SpeechLanguageModel]
) -> None:
    with pytest.raises(RapportError, match=r"layers names \[2\], and the model has 2"):
        apply_trainable(build(), TrainableConfig(layers=(1, 2)))
    with pytest.raises(ValidationError, match="nothing would train"):
        TrainableConfig(layers=(), embeddings=False)
    with pytest.raises(ValidationError, match="adapters go into every layer"):
        TrainableConfig(layers=(0,), lora=LoraConfig(rank=2))
    with pytest.raises(ValidationError, match="at least two, each once"):
        EmosdsConfig(emotions=("sad", "sad"))
    with pytest.raises(ValidationError, match="did you mean 'happy'"):
        EmosdsConfig(emotions=("happpy", "sad"))
    assert model.settings.clusters == CLUSTERS
