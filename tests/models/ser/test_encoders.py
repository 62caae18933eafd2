"""Pretrained encoders: padding does not matter, frozen is frozen, and what should train does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel

from rapport.core.errors import RapportError
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.config import EncoderConfig, SerConfig
from rapport.models.ser.encoders import EncoderError, SslEncoder, load_pretrained
from rapport.models.ser.losses import emotion_loss
from tests.models.ser.conftest import KINDS, LAYERS, batch, speech

Make = Callable[..., SpeechEmotionClassifier]


def gradients(model: SpeechEmotionClassifier) -> set[str]:
    """Names of parameters that a training step gives a gradient other than zero."""
    model.train()
    waveforms, lengths = batch(speech(0.5), speech(0.4, 1), speech(0.3, 2))
    emotion_loss(model(waveforms, lengths).logits, torch.tensor([0, 1, 2])).backward()
    return {name for name, p in model.named_parameters() if p.grad is not None and bool(p.grad.abs().max() > 0)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer_weights", [False, True])
def test_padding_and_batch_mates_do_not_change_logits(make_classifier: Make, kind: str, layer_weights: bool) -> None:
    model = make_classifier(kind, layer_weights=layer_weights).eval()
    clips = [speech(s, i) for i, s in enumerate((0.6, 1.5, 0.031, 1.0, 0.01))]
    with torch.inference_mode():
        together = model(*batch(*clips)).logits
        alone = torch.cat([model(*batch(clip)).logits for clip in clips])
        padded = torch.nn.functional.pad(batch(clips[0])[0], (0, 30000))
        longer = model(padded, torch.tensor([len(clips[0])])).logits
    assert together.std() > 0.1, "logits that hardly differ would prove nothing"
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    torch.testing.assert_close(longer, alone[:1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unpadded_clip_gets_what_transformers_gives(encoder_folder: Callable[[str], Path], kind: str) -> None:
    folder = encoder_folder(kind)
    clip = speech(0.8)
    prepared = AutoFeatureExtractor.from_pretrained(folder)(clip.numpy(), sampling_rate=16000, return_tensors="pt").input_values
    wanted = AutoModel.from_pretrained(folder).eval()(prepared, output_hidden_states=True)
    last = load_pretrained(EncoderConfig(name=str(folder))).eval()(*batch(clip))
    torch.testing.assert_close(last.values, wanted.last_hidden_state, atol=1e-5, rtol=1e-4)
    mixture = load_pretrained(EncoderConfig(name=str(folder), layer_weights=True)).eval()(*batch(clip)).values
    states = torch.stack([*wanted.hidden_states[:-1], wanted.last_hidden_state])
    assert len(states) == LAYERS + 1
    torch.testing.assert_close(mixture, states.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unfrozen", [0, 1, 2, LAYERS])
def test_exactly_the_unfrozen_layers_receive_gradients(make_classifier: Make, kind: str, unfrozen: int) -> None:
    found = {n for n in gradients(make_classifier(kind, unfreeze_last_n_layers=unfrozen)) if n.startswith("encoder.")}
    trained = {int(n.split("layers.")[1].split(".")[0]) for n in found}
    assert trained == set(range(LAYERS - unfrozen, LAYERS))
    assert all(n.startswith("encoder.backbone.encoder.layers.") for n in found)


def test_a_frozen_encoder_is_left_alone_by_training_mode(make_classifier: Make) -> None:
    model = make_classifier("hubert-group").train()
    waveforms, lengths = batch(speech(0.5), speech(0.4, 1))
    assert not any(m.training for m in model.encoder.backbone.modules())
    assert torch.equal(model.encoder(waveforms, lengths).values, model.encoder(waveforms, lengths).values)
    assert not model.encoder(waveforms, lengths).values.requires_grad


def test_only_unfrozen_layers_drop_out(make_classifier: Make) -> None:
    model = make_classifier("hubert-group", unfreeze_last_n_layers=1).train()
    layers = model.encoder.layers
    assert [layer.dropout.training for layer in layers] == [False, False, True]
    assert not model.encoder.backbone.encoder.training, "layer drop of the whole stack stays off"
    assert not any(m.training for m in model.eval().modules())


def test_a_wholly_unfrozen_encoder_trains_everywhere(make_classifier: Make) -> None:
    model = make_classifier("wav2vec2-layer", freeze=False, mask_time_p=0.5, mask_time_frames=2)
    wanted = {n for n, p in model.named_parameters() if p.requires_grad}
    assert any("feature_extractor" in n for n in wanted)
    assert wanted - gradients(model) <= {"pooling.score.bias"} | {n for n in wanted if n.endswith("k_proj.bias")}


def test_the_mask_vector_stays_frozen_when_nothing_is_masked(make_classifier: Make) -> None:
    model = make_classifier("wav2vec2-layer", freeze=False)
    assert not model.encoder.backbone.masked_spec_embed.requires_grad


def test_time_masks_follow_torchs_seed_and_stop_in_evaluation(make_classifier: Make) -> None:
    model = make_classifier("hubert-group", unfreeze_last_n_layers=1, mask_time_p=0.5, mask_time_frames=2)
    waveforms, lengths = batch(speech(0.5), speech(0.05, 1))

    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return model.encoder(waveforms, lengths).values

    model.train()
    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    model.eval()
    assert torch.equal(run(0), run(1))


def test_layers_unfreeze_gradually(make_classifier: Make) -> None:
    model = make_classifier("hubert-group").train()
    for last_n in (1, 2, 0):
        model.set_unfrozen_layers(last_n)
        trains = [all(p.requires_grad for p in layer.parameters()) for layer in model.encoder.layers]
        assert trains == [i >= LAYERS - last_n for i in range(LAYERS)]
        assert [layer.training for layer in model.encoder.layers] == trains
    with pytest.raises(EncoderError, match=r"4, and .* has 3 layers"):
        model.set_unfrozen_layers(4)


def test_learned_layer_weights_train_above_a_frozen_encoder(make_classifier: Make) -> None:
    found = gradients(make_classifier("hubert-layer", layer_weights=True))
    assert {n for n in found if n.startswith("encoder.")} == {"encoder.layer_logits"}


@pytest.mark.parametrize("kind", ["hubert-group", "wavlm-layer"])
def test_adapters_alone_train_and_begin_as_no_change(make_classifier: Make, kind: str) -> None:
    plain = make_classifier(kind).eval()
    model = make_classifier(kind, lora={"rank": 2}).eval()
    clip = batch(speech(0.4))
    torch.testing.assert_close(model.encoder(*clip).values, plain.encoder(*clip).values)
    found = {n for n in gradients(model) if n.startswith("encoder.")}
    assert found
    assert all("lora_B" in n for n in found)  # A gets its first gradient once B has left zero
    assert {n for n, p in model.encoder.named_parameters() if p.requires_grad and "lora_" not in n} == set()
    names = {name for name, _ in model.parameter_groups()["encoder"]}
    assert not any("lora_" in n for n in names)


def test_adapters_and_unfrozen_layers_go_together(make_classifier: Make) -> None:
    found = gradients(make_classifier("hubert-group", lora={"rank": 2}, unfreeze_last_n_layers=1))
    assert "encoder.backbone.encoder.layers.2.feed_forward.output_dense.weight" in found
    assert "encoder.backbone.encoder.layers.0.attention.q_proj.lora_B.default.weight" in found
    assert "encoder.backbone.encoder.layers.0.feed_forward.output_dense.weight" not in found


@pytest.mark.parametrize(
    ("kind", "targets", "message"),
    [("wavlm-group", ("q_proj",), "no effect in wavlm"), ("hubert-group", ("query",), "linear layers are called .*q_proj")],
)
def test_adapters_that_would_do_nothing_are_refused(make_classifier: Make, kind: str, targets: tuple[str, ...], message: str) -> None:
    with pytest.raises(RapportError, match=message):
        make_classifier(kind, lora={"rank": 2, "targets": targets})


@pytest.mark.parametrize("changes", [{}, {"layer_weights": True, "unfreeze_last_n_layers": 1}, {"lora": {"rank": 2}}])
@pytest.mark.parametrize("kind", ["hubert-group", "wavlm-layer"])
def test_a_saved_model_answers_alike_without_the_original_encoder(
    make_classifier: Make, tmp_path: Path, kind: str, changes: dict[str, object]
) -> None:
    model = make_classifier(kind, **changes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.eval().save_pretrained(tmp_path / "model")
    again = SpeechEmotionClassifier.from_pretrained(tmp_path / "model")
    clips = batch(speech(0.5), speech(0.3, 1))
    assert not again.training
    assert torch.equal(again(*clips).logits, model(*clips).logits)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {n for n, p in model.named_parameters() if p.requires_grad}


def test_adapters_are_saved_in_peft_form(make_classifier: Make, encoder_folder: Callable[[str], Path], tmp_path: Path) -> None:
    import peft

    model = make_classifier("hubert-group", lora={"rank": 2, "alpha": 4}).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.5)
    model.save_pretrained(tmp_path)
    base = AutoModel.from_pretrained(encoder_folder("hubert-group"))
    adapted = peft.PeftModel.from_pretrained(base, str(tmp_path / "encoder_adapter")).eval()
    clip = speech(0.5)
    scaled = (clip - clip.mean()) / (clip.var(correction=0) + 1e-7).sqrt()
    wanted = adapted(input_values=scaled[None]).last_hidden_state
    torch.testing.assert_close(model.encoder(*batch(clip)).values, wanted, atol=1e-5, rtol=1e-4)


def test_two_threads_do_not_see_each_others_lengths(make_classifier: Make) -> None:
    from concurrent.futures import ThreadPoolExecutor

    model = make_classifier("hubert-group").eval()
    batches = [batch(speech(0.5, i), speech(0.1 + 0.02 * i, i)) for i in range(8)]

    def logits(clips: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            return model(*clips).logits

    wanted = [logits(b) for b in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for one, other in zip(pool.map(logits, batches), wanted, strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_an_encoder_that_cannot_be_used_is_refused_by_name(tmp_path: Path, encoder_folder: Callable[[str], Path]) -> None:
    with pytest.raises(EncoderError, match=r"(?s)cannot load the encoder .*encoder\.name"):
        load_pretrained(EncoderConfig(name=str(tmp_path / "nothing")))
    bare = tmp_path / "bare"
    AutoModel.from_pretrained(encoder_folder("hubert-group")).save_pretrained(bare)
    with pytest.raises(EncoderError, match=r"no preprocessor_config.json"):
        load_pretrained(EncoderConfig(name=str(bare)))
    assert load_pretrained(EncoderConfig(name=str(bare), normalise=True)).normalise
    with pytest.raises(EncoderError, match=r"encoder.unfreeze_last_n_layers is 9"):
        load_pretrained(EncoderConfig(name=str(encoder_folder("hubert-group")), unfreeze_last_n_layers=9))


def test_a_checkpoint_with_weights_missing_is_refused(tmp_path: Path, encoder_folder: Callable[[str], Path]) -> None:
    from safetensors.torch import load_file, save_file

    model = AutoModel.from_pretrained(encoder_folder("hubert-group"))
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["encoder.layers.1.attention.q_proj.weight"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"lacks 1 weights .*encoder\.layers\.1\.attention\.q_proj\.weight"):
        load_pretrained(EncoderConfig(name=str(tmp_path), normalise=True))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=10)
    BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(EncoderError, match="bert model: wanted one of hubert"):
        load_pretrained(EncoderConfig(name=str(tmp_path), normalise=True))


def test_head_and_pooling_have_the_published_sizes() -> None:
    class Wide(torch.nn.Module):
        width = 768

    def count(hidden: int) -> int:
        model = SpeechEmotionClassifier(SerConfig.model_validate({"head": {"hidden": hidden}}), Wide())
        return sum(p.numel() for p in model.parameters())

    assert count(256) == 199_689
    assert count(0) == 6_921


def test_a_clip_is_normalised_over_its_own_samples(make_classifier: Make) -> None:
    model = make_classifier("hubert-group").eval()
    assert isinstance(model.encoder, SslEncoder)
    clip = speech(0.5)
    louder = 3 * clip + 0.1
    with torch.inference_mode():
        one, other = model(*batch(clip, speech(1.0, 4))).logits[0], model(*batch(louder, speech(1.0, 5))).logits[0]
    np.testing.assert_allclose(one, other, atol=1e-4)
