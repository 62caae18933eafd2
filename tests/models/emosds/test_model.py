"""The language model with speech in its input."""

from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from rapport.core.errors import RapportError
from rapport.models.emosds.config import InjectionConfig
from rapport.models.emosds.model import SpeechLanguageModel
from tests.models.emosds.tiny import WIDTH, example, speech

ROWS = [example(2), example(2, "b", text="No.", prompt=1), example(2, "c", text="The lamp in the hall.")]
SPOKEN = [speech(9), speech(30), speech(4)]


def test_slots_hold_the_tiled_residuals_and_other_rows_are_untouched(model: SpeechLanguageModel) -> None:
    batch = model.collator()(ROWS, SPOKEN)
    rows = model.embed(batch["input_ids"], batch["residuals"], batch["residual_lengths"])
    slots = batch["input_ids"] == model.manifest.residual
    plain = model.base.get_input_embeddings()(batch["input_ids"])
    assert torch.equal(rows[~slots], plain[~slots])
    for start in range(0, 24, WIDTH):
        assert torch.equal(rows[slots][:, start : start + WIDTH], batch["residuals"].float())


def _target_logits(model: SpeechLanguageModel, batch: dict[str, Tensor]) -> Tensor:
    states = model.hidden(model.embed(batch["input_ids"], batch["residuals"], batch["residual_lengths"]), batch["attention_mask"])
    return model.logits(states[:, :-1][batch["labels"][:, 1:] != -100])


@pytest.mark.parametrize("pad", ["left", "right"])
def test_a_padded_row_gives_the_logits_of_the_single_row(model: SpeechLanguageModel, pad: str) -> None:
    collator = model.collator()
    encoded = [collator.encode(e, s) for e, s in zip(ROWS, SPOKEN, strict=True)]
    with torch.no_grad():
        together = _target_logits(model, collator.batch(encoded, pad))  # type: ignore[arg-type]
        single = torch.cat([_target_logits(model, collator.batch([row])) for row in encoded])
    assert (together - single).abs().max() < 1e-4
    assert single.std() > 0.5


def test_the_loss_is_that_of_the_base_model(model: SpeechLanguageModel) -> None:
    batch = model.collator()(ROWS, SPOKEN)
    rows = model.embed(batch["input_ids"], batch["residuals"], batch["residual_lengths"])
    with torch.no_grad():
        output = model(**batch)
        expected = model.base(inputs_embeds=rows, attention_mask=batch["attention_mask"], labels=batch["labels"])
    right = expected.logits[:, :-1].argmax(-1) == batch["labels"][:, 1:]
    assert output.token_count == (batch["labels"] != -100).sum()
    assert torch.allclose(output.loss_sum / output.token_count, expected.loss, atol=1e-4)
    assert output.correct == right.sum()


def test_the_loss_of_many_positions_is_taken_in_pieces(model: SpeechLanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = model.collator()(ROWS, SPOKEN)
    model(**batch).loss_sum.backward()
    whole = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    monkeypatch.setattr("rapport.models.backends.llm.loss._LOSS_ROWS", 4)
    model(**batch).loss_sum.backward()
    assert all(torch.allclose(p.grad, whole[n], rtol=1e-3, atol=1e-4) for n, p in model.named_parameters() if p.grad is not None)
    model.zero_grad()


def test_logits_are_made_for_what_is_learned_only(model: SpeechLanguageModel) -> None:
    seen: list[int] = []
    handle = model.base.get_output_embeddings().register_forward_hook(lambda _m, _i, out: seen.append(len(out)))
    output = model(**model.collator()(ROWS, SPOKEN))
    handle.remove()
    assert seen == [int(output.token_count)]


@pytest.mark.parametrize("kind", ["linear", "strided"])
def test_a_learned_injection_learns(build: Callable[..., SpeechLanguageModel], kind: str) -> None:
    model = build(injection=InjectionConfig(kind=kind))
    model.fit_scale(torch.randn(50, WIDTH))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    batch = model.collator()(ROWS, SPOKEN)
    losses = []
    for _ in range(12):
        loss = model(**batch).loss_sum
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] / 2


def test_gradient_checkpointing_changes_no_gradient(build: Callable[..., SpeechLanguageModel]) -> None:
    model = build(injection=InjectionConfig(kind="linear")).train()
    batch = model.collator()(ROWS, SPOKEN)
    gradients = []
    for _ in range(2):
        model(**batch).loss_sum.backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
        model.zero_grad()
        model.gradient_checkpointing_enable()
    assert all(torch.allclose(gradients[0][n], gradients[1][n], rtol=1e-3, atol=1e-4) for n in gradients[0])


def test_every_way_to_compute_attention_gives_the_same_loss(build: Callable[..., SpeechLanguageModel]) -> None:
    model = build(injection=InjectionConfig(kind="linear")).train()
    batch = model.collator()(ROWS, SPOKEN)
    known = float(model(**batch).loss_sum.detach())
    model.set_attention("eager")
    assert float(model(**batch).loss_sum.detach()) == pytest.approx(known, rel=1e-5)
    if find_spec("flash_attn") is None:
        with pytest.raises(RapportError, match=r"flash_attention_2.*Set it to sdpa"):
            model.set_attention("flash_attention_2")


def test_residuals_are_cast_to_the_precision_of_the_weights(build: Callable[..., SpeechLanguageModel]) -> None:
    model = build().to(torch.bfloat16)
    output = model(**model.collator()(ROWS, SPOKEN))
    assert output.loss_sum.dtype == torch.float32
    assert output.loss_sum.isfinite()


def test_a_stage_without_residuals_takes_units_alone(model: SpeechLanguageModel) -> None:
    batch = model.collator()([example(1)], [speech(9)])
    assert "residuals" not in batch
    assert model(**batch).token_count > 0


def test_lengths_that_do_not_fit_are_told(model: SpeechLanguageModel) -> None:
    batch = model.collator()(ROWS, SPOKEN)
    ids, residuals, lengths = batch["input_ids"], batch["residuals"], batch["residual_lengths"]
    with pytest.raises(RapportError, match="row 0 has 9 slots for residuals, and its residuals take 8"):
        model.embed(ids, residuals, lengths - torch.tensor([1, -1, 0]))
    with pytest.raises(RapportError, match="row 0 has 9 slots for residuals, and its residuals take 0"):
        model.embed(ids)
    with pytest.raises(RapportError, match="sum to 43, and there are 42 residuals"):
        model.embed(ids, residuals[:-1], lengths)
    with pytest.raises(RapportError, match=r"shape \(43, 5\): wanted \[ΣT, 6\]"):
        model.embed(ids, residuals[:, :5], lengths)


def test_a_batch_without_residuals_gives_a_gradient_to_every_weight(build: Callable[..., SpeechLanguageModel]) -> None:
    model = build(injection=InjectionConfig(kind="strided", stride=2, pooling="concat")).train()
    batch = model.collator()([example(1)], [speech(9)])
    assert "residuals" not in batch
    model(**batch).loss_sum.backward()
    gradients = [weight.grad for weight in model.injection.parameters()]
    assert gradients
    assert all(gradient is not None and not gradient.any() for gradient in gradients)
