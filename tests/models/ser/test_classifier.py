"""The classifier as a whole: the domain branch, feature masking, mixing, saving and loading."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from rapport.core import storage
from rapport.core.config import ConfigError, dump_config, read_config
from rapport.models.saving import ModelError
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.config import EncoderConfig, SerConfig
from rapport.models.ser.domain import ramp, reverse_gradient
from rapport.models.ser.losses import domain_loss, emotion_loss
from rapport.models.ser.mixup import Mix
from tests.models.ser.conftest import batch, speech

Make = Callable[..., SpeechEmotionClassifier]
TARGETS, CORPORA = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 0, 1])


def config(**changes: object) -> SerConfig:
    return SerConfig.model_validate(changes)


def encoder_gradient(model: SpeechEmotionClassifier, *, emotion: bool = True, domain: bool = True) -> torch.Tensor:
    """The gradient of one early weight after one step on four clips, the same for every model."""
    model.train()
    torch.manual_seed(0)
    output = model(*batch(*[speech(0.3, i) for i in range(4)]))
    loss = emotion_loss(output.logits, TARGETS) if emotion else output.logits.sum() * 0
    if domain and output.domain_logits is not None:
        loss = loss + model.config.domain.loss_weight * domain_loss(output.domain_logits, CORPORA)
    model.zero_grad()
    loss.backward()
    return model.encoder.project[1].weight.grad.clone()


@pytest.fixture
def still() -> dict[str, object]:
    """Settings of an encoder that draws nothing at random, so that gradients can be compared."""
    augment = {"warp": 0, "tempo": 0, "gain_db": 0, "time_masks": 0, "band_masks": 0}
    return {"dropout": 0, "channel_dropout": 0, "bf16": False, "augment": augment}


def test_a_lambda_of_zero_is_no_domain_branch(make_classifier: Make) -> None:
    plain = make_classifier("logmel")
    off = make_classifier("logmel", config(domain={"grl_lambda": 0.0, "weight": 5.0, "domains": 3}))
    assert off.domain is None
    assert plain.state_dict().keys() == off.state_dict().keys()
    assert torch.equal(encoder_gradient(off), encoder_gradient(plain))
    assert off(*batch(speech(0.2))).domain_logits is None


def test_the_reversed_gradient_scales_with_lambda_and_weight(make_classifier: Make, still: dict[str, object]) -> None:
    def gradient(**domain: object) -> torch.Tensor:
        return encoder_gradient(make_classifier("logmel", config(head={"dropout": 0}, domain=domain), logmel=still), emotion=False)

    one = gradient(grl_lambda=1.0)
    torch.testing.assert_close(gradient(grl_lambda=0.5), 0.5 * one)
    torch.testing.assert_close(gradient(grl_lambda=0.5, weight=3.0), 1.5 * one)
    # The original's lambda is the loss weight too, so it acts twice on the encoder.
    torch.testing.assert_close(gradient(grl_lambda=0.5, coupled=True), 0.25 * one)


def test_the_branch_learns_corpora_while_the_encoder_unlearns_them(make_classifier: Make, still: dict[str, object]) -> None:
    values = torch.randn(3, 4, requires_grad=True)
    reverse_gradient(values, 2.0).sum().backward()
    torch.testing.assert_close(values.grad, torch.full((3, 4), -2.0))
    model = make_classifier("logmel", config(head={"dropout": 0}, domain={"grl_lambda": 1.0}), logmel=still)
    branch: Any = model.domain
    adversarial = encoder_gradient(model, emotion=False)
    own = branch.layers[0].weight.grad.clone()
    branch.strength = -1.0  # an honest gradient
    torch.testing.assert_close(encoder_gradient(model, emotion=False), -adversarial)
    torch.testing.assert_close(branch.layers[0].weight.grad, own)


def test_the_strength_ramps_up(make_classifier: Make) -> None:
    assert ramp(0.0) == 0
    assert 0.98 < ramp(0.5) < ramp(1.0) < 1
    model = make_classifier("logmel", config(domain={"grl_lambda": 0.4}))
    assert model.domain is not None
    model.domain.set_progress(0.0)
    assert encoder_gradient(model, emotion=False).abs().max() == 0
    model.domain.set_progress(1.0)
    assert model.domain.strength == pytest.approx(0.4, rel=1e-3)


def test_padding_does_not_reach_the_domain_branch(make_classifier: Make) -> None:
    model = make_classifier("hubert-group", config(domain={"grl_lambda": 1.0})).eval()
    clips = [speech(0.4), speech(1.2, 1)]
    with torch.inference_mode():
        together = model(*batch(*clips)).domain_logits
        alone = torch.cat([model(*batch(c)).domain_logits for c in clips])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_attention_over_a_batch_sums_to_one_and_is_zero_on_padding(make_classifier: Make) -> None:
    for kind in ("logmel", "hubert-group"):
        output = make_classifier(kind, config(pooling={"heads": 3, "deviation": "weighted"})).eval()(*batch(speech(0.2), speech(0.9, 1)))
        torch.testing.assert_close(output.attention.sum(1), torch.ones(2))
        assert output.attention[0, output.frame_lengths[0] :].abs().max() == 0
        assert output.embedding.shape == (2, output.embedding.shape[1])
        assert output.latent.shape == (2, 256)


@pytest.mark.parametrize("kind", ["logmel", "hubert-group"])
def test_feature_masking_hides_blocks_even_in_very_short_clips(make_classifier: Make, kind: str) -> None:
    model = make_classifier(kind, config(feature_mask={"p": 1.0}, head={"dropout": 0})).train()
    clips = batch(speech(0.03), speech(0.5, 1))
    torch.manual_seed(0)
    masked = [model(*clips).embedding for _ in range(2)]
    assert torch.isfinite(masked[0]).all()
    assert (masked[0] == 0).any(1).all(), "a block of channels is zero in every clip"
    assert not torch.equal(masked[0], masked[1])
    with torch.inference_mode():
        model.eval()
        assert torch.equal(model(*clips).embedding, model(*clips).embedding)


@pytest.mark.parametrize("kind", ["logmel", "wavlm-layer"])
def test_mixing_with_a_share_of_one_changes_nothing_but_the_length(make_classifier: Make, kind: str) -> None:
    model = make_classifier(kind).eval()
    clips = batch(speech(0.5), speech(0.5, 1))
    mix = Mix(torch.tensor([1, 0]), torch.ones(2))
    torch.testing.assert_close(model(*clips, mix=mix).logits, model(*clips).logits)
    half = model(*clips, mix=Mix(torch.tensor([1, 0]), torch.full((2,), 0.5))).logits
    torch.testing.assert_close(half[0], half[1], atol=1e-4, rtol=1e-4)


def test_the_embedded_model_is_saved_and_loaded_whole(make_classifier: Make, tmp_path: Path) -> None:
    model = make_classifier("logmel", config(emotions=["sad", "happy", "neutral"], domain={"grl_lambda": 0.5})).eval()
    trained = model.config.model_copy(update={"decoding": model.config.decoding.model_copy(update={"window_s": 2.5})})
    model.save_pretrained(tmp_path, config=trained, metrics={"uar": 0.5})
    again = SpeechEmotionClassifier.from_pretrained(tmp_path)
    clips = batch(speech(0.5), speech(0.3, 1))
    assert torch.equal(again(*clips).logits, model(*clips).logits)
    assert again.emotions == ("neutral", "happy", "sad")
    assert again.config.decoding.window_s == 2.5
    assert storage.read_json(tmp_path / "metrics.json") == {"uar": 0.5}
    assert storage.read_json(tmp_path / "config.json")["sample_rate_hz"] == 16000
    assert "neutral, happy, sad" in (tmp_path / "README.md").read_text()
    assert {p.name for p in tmp_path.iterdir()} == {"README.md", "config.json", "metrics.json", "model.safetensors"}
    model.save_pretrained(tmp_path, card="# Mine\n")
    assert (tmp_path / "README.md").read_text() == "# Mine\n"


def test_a_model_saves_to_and_loads_from_a_uri(make_classifier: Make, tmp_path: Path) -> None:
    model = make_classifier("hubert-group", lora={"rank": 2}).eval()
    uri = (tmp_path / "there").as_uri()
    model.save_pretrained(uri)
    clip = batch(speech(0.3))
    assert torch.equal(SpeechEmotionClassifier.from_pretrained(uri)(*clip).logits, model(*clip).logits)


def test_weights_that_do_not_fit_are_reported_key_by_key(make_classifier: Make, tmp_path: Path) -> None:
    make_classifier("logmel").save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["head.extra"] = torch.zeros(1)
    tensors["head.output.bias"] = torch.zeros(3)
    del tensors["pooling.score.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError) as error:
        SpeechEmotionClassifier.from_pretrained(tmp_path)
    for line in ("missing: pooling.score.bias", "superfluous: head.extra", "shape of head.output.bias: found (3,), wanted (8,)"):
        assert line in str(error.value)


def test_folders_that_hold_no_model_are_refused(make_classifier: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        SpeechEmotionClassifier.from_pretrained(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"has no config\.json"):
        SpeechEmotionClassifier.from_pretrained(tmp_path)
    make_classifier("logmel").save_pretrained(tmp_path)
    saved = storage.read_json(tmp_path / "config.json")
    storage.write_json(tmp_path / "config.json", {**saved, "kind": "erc"})
    with pytest.raises(ModelError, match="holds a 'erc' model: wanted 'ser'"):
        SpeechEmotionClassifier.from_pretrained(tmp_path)
    saved["model"]["head"]["hiden"] = 3
    storage.write_json(tmp_path / "config.json", saved)
    with pytest.raises(ModelError, match="written by another version"):
        SpeechEmotionClassifier.from_pretrained(tmp_path)
    del saved["model"]["head"]["hiden"]
    storage.write_json(tmp_path / "config.json", saved)
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError, match=r"cannot read .*model\.safetensors"):
        SpeechEmotionClassifier.from_pretrained(tmp_path)


def test_parameter_groups_tell_pretrained_from_new(make_classifier: Make) -> None:
    groups = make_classifier("hubert-group", layer_weights=True).parameter_groups()
    assert all(n.startswith("encoder.backbone.") for n, _ in groups["encoder"])
    assert {n.split(".")[0] for n, _ in groups["new"]} == {"encoder", "pooling", "head"}
    assert not make_classifier("logmel").parameter_groups()["encoder"]


def test_the_embedded_encoder_has_no_layers_to_unfreeze(make_classifier: Make) -> None:
    with pytest.raises(ModelError, match="no transformer layers"):
        make_classifier("logmel").set_unfrozen_layers(1)


def test_settings_survive_a_file(tmp_path: Path) -> None:
    settings = config(encoder={"name": "wavlm-base", "lora": {"rank": 4}}, domain={"grl_lambda": 1.0}, emotions=["sad", "angry"])
    (tmp_path / "ser.yaml").write_text(dump_config(settings))
    assert read_config(SerConfig, tmp_path / "ser.yaml") == settings
    (tmp_path / "bad.yaml").write_text("encoder: {unfreeze_last_layers: 2}")
    with pytest.raises(ConfigError, match=r"did you mean .*unfreeze_last_n_layers"):
        read_config(SerConfig, tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "hubret-base"}, "wanted one of logmel, hubert-base"),
        ({"name": "logmel", "unfreeze_last_n_layers": 2}, "only pretrained encoders have this"),
        ({"name": "logmel", "lora": {"rank": 2}}, "only pretrained encoders have this"),
        ({"name": "hubert-base", "freeze": False, "unfreeze_last_n_layers": 2}, "set freeze to true"),
        ({"logmel": {"bands": 60}}, "multiple of 16"),
        ({"logmel": {"window_samples": 4000}}, "at most n_fft"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EncoderConfig.model_validate(settings)


@pytest.mark.parametrize(
    ("name", "source"),
    [("HuBERT-Base", "facebook/hubert-base-ls960"), ("wavlm-large", "microsoft/wavlm-large"), ("someone/encoder", "someone/encoder")],
)
def test_encoders_are_named_by_short_name_or_hub_id(name: str, source: str) -> None:
    assert EncoderConfig(name=name).source == source
    assert EncoderConfig(name=name).frozen
    assert not EncoderConfig().frozen


def test_emotions_come_in_vocabulary_order() -> None:
    assert config(emotions=["bored", "neutral"]).emotions == ("neutral", "bored")
    with pytest.raises(ValidationError, match="did you mean 'angry'"):
        config(emotions=["neutral", "angy"])
    with pytest.raises(ValidationError, match="at least two"):
        config(emotions=["neutral"])
