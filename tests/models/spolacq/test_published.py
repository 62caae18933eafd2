"""The published parts, by folder, with tiny random weights: syllables of S5-HuBERT, Tacotron 2, HiFi-GAN, and a body of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import HubertConfig, HubertModel, ViTConfig, ViTModel

from rapport.core.errors import RapportError
from rapport.models.saving import ModelError
from rapport.models.spolacq.body import SpolacqBody
from rapport.models.spolacq.captions import Vocabulary
from rapport.models.spolacq.config import (
    BeamConfig,
    BodyConfig,
    EyesConfig,
    HearingConfig,
    HifiGanConfig,
    ImageToUnitsConfig,
    TacotronConfig,
    VoiceConfig,
    published_body,
)
from rapport.models.spolacq.eyes import load_eyes
from rapport.models.spolacq.hifigan import build_hifigan, hifigan_names
from rapport.models.spolacq.i2u import ImageToUnits
from rapport.models.spolacq.speech_to_units import load_hearing
from rapport.models.spolacq.tacotron import build_tacotron, log_mels, tacotron_names
from rapport.models.spolacq.tacotron_voice import TacotronVoice, load_hifigan
from rapport.models.spolacq.voice import make_voice
from tests.models.spolacq import tiny

UNITS = 12
TACOTRON = TacotronConfig(
    symbols=UNITS,
    embedding=8,
    decoder=16,
    prenet=8,
    attention=8,
    location_filters=2,
    location_kernel=3,
    postnet=8,
    postnet_layers=2,
    max_frames=30,
)
HIFIGAN = HifiGanConfig(channels=16, residual_kernels=(3,), residual_dilations=((1, 2),))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What would be downloaded: eyes, an encoder with its centroids, and a vocoder by its original's names."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("published")
    ViTModel(
        ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8)
    ).save_pretrained(root / "dino")
    config = HubertConfig(
        hidden_size=16, num_hidden_layers=9, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7, num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    HubertModel(config).save_pretrained(root / "s5hubert")
    weights = {f"hubert.{name}": tensor for name, tensor in load_file(root / "s5hubert" / "model.safetensors").items()}
    merged = torch.arange(30, dtype=torch.int32) % UNITS
    save_file(
        {**weights, "quantizer1": torch.randn(30, 16), "quantizer2": merged}, root / "s5hubert" / "model.safetensors", {"format": "pt"}
    )
    (root / "hifigan").mkdir()
    save_file(original_hifigan(), root / "hifigan" / "model.safetensors")
    return {part: root / part for part in ("dino", "s5hubert", "hifigan")}


def original_hifigan() -> dict[str, torch.Tensor]:
    """Weights as the original saves them: `ups`, and a gain and a direction for every convolution."""
    found = {}
    for name, tensor in build_hifigan(HIFIGAN).state_dict().items():
        old = name.replace("upsampler.", "ups.")
        if name.endswith(".weight"):
            layer = nn.Module()
            layer.weight = nn.Parameter(tensor)
            normed = nn.utils.parametrizations.weight_norm(layer)
            found[f"{old}_g"] = normed.parametrizations.weight.original0.detach().clone()
            found[f"{old}_v"] = 3 * normed.parametrizations.weight.original1.detach().clone()
        elif name not in ("mean", "scale"):
            found[old] = tensor.clone()
    return found


def config(folders: dict[str, Path]) -> BodyConfig:
    return BodyConfig(
        eyes=EyesConfig(kind="dino", source=str(folders["dino"]), size=32),
        hearing=HearingConfig(kind="s5hubert", source=str(folders["s5hubert"])),
        image_to_units=ImageToUnitsConfig(width=16, layers=1, heads=2, hidden=16, max_units=10),
        beam=BeamConfig(width=50),
        voice=VoiceConfig(kind="tacotron", tacotron=TACOTRON, hifigan=HIFIGAN, hifigan_source=str(folders["hifigan"])),
    )


def voice() -> TacotronVoice:
    torch.manual_seed(1)
    return TacotronVoice(build_tacotron(TACOTRON), build_hifigan(HIFIGAN))


def test_syllables_are_units_below_the_merged_count(folders: dict[str, Path]) -> None:
    hearing = load_hearing(config(folders).hearing, [], 16_000)
    clips = [tiny.spoken("give me cocoa"), np.zeros(9_000, np.float32), np.ones(100, np.float32)]
    units = hearing.hear(clips, 22_050)
    assert hearing.count == UNITS
    assert len(units[0])
    assert units[0].max() < UNITS
    assert [len(u) for u in units[1:]] == [0, 0]
    assert units[0].tolist() == hearing.hear(clips[:1], 22_050)[0].tolist()


def test_syllables_without_their_centroids_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="cannot be loaded as S5-HuBERT"):
        load_hearing(HearingConfig(kind="s5hubert", source=str(tmp_path)), [], 16_000)
    weights = load_file(folders["s5hubert"] / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folders["s5hubert"] / "config.json").read_bytes())
    save_file({**weights, "quantizer2": weights["quantizer2"][:5].clone()}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(RapportError, match="quantizer2"):
        load_hearing(HearingConfig(kind="s5hubert", source=str(tmp_path)), [], 16_000)


def test_a_published_body_speaks_and_comes_back_from_its_folder(folders: dict[str, Path], tmp_path: Path) -> None:
    settings = config(folders)
    hearing = load_hearing(settings.hearing, [], 16_000)
    eyes, vocabulary = load_eyes(settings.eyes), Vocabulary(tuple(range(UNITS)))
    torch.manual_seed(2)
    speller = ImageToUnits(settings.image_to_units, eyes.width, vocabulary.size)
    body = SpolacqBody(settings, eyes, speller, vocabulary, make_voice(settings, hearing, build_tacotron(TACOTRON)))
    features, sentences = body.see(tiny.pictures(range(1))), np.random.default_rng(0).normal(size=(3, 8))
    clips = body.say(features, sentences)
    assert body.rate_hz == 22_050
    assert all(len(clip) % 256 == 0 or len(clip) == 22_050 for clip in clips)
    body.save_pretrained(tmp_path / "body")
    again = SpolacqBody.from_pretrained(tmp_path / "body")
    for left, right in zip(clips, again.say(features, sentences), strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_same_units_have_the_same_speech_whoever_draws_beside_it() -> None:
    spoken = voice()
    units = [np.array([1, 2, 3]), np.array([4, 5])]
    together = spoken.speak(units)
    state = torch.get_rng_state()
    alone = [spoken.speak([u])[0] for u in reversed(units)][::-1]
    assert torch.equal(state, torch.get_rng_state())
    for left, right in zip(together, alone, strict=True):
        np.testing.assert_array_equal(left, right)
    assert np.abs(together[0]).max() <= 1


def test_synthesis_that_fails_is_a_second_of_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = voice()

    def fail(tokens: torch.Tensor) -> None:
        raise RuntimeError("kernel size can't be greater than input size")

    monkeypatch.setattr(spoken._tacotron, "infer", fail)
    clips = spoken.speak([np.array([1, 2]), np.zeros(0, np.int32)])
    assert [len(clip) for clip in clips] == [22_050, 22_050]
    assert not np.concatenate(clips).any()
    with pytest.raises(RapportError, match="symbols is 12"):
        spoken.speak([np.array([12])])


def test_original_names_of_vocoders_give_the_same_network(folders: dict[str, Path]) -> None:
    original = original_hifigan()
    folded = hifigan_names(original)
    assert set(folded) == set(build_hifigan(HIFIGAN).state_dict())
    gain, direction = original["conv_pre.weight_g"], original["conv_pre.weight_v"]
    torch.testing.assert_close(folded["conv_pre.weight"], gain * direction / direction.flatten(1).norm(dim=1)[:, None, None])
    own = build_hifigan(HIFIGAN).state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in hifigan_names(own).items())
    network = load_hifigan(VoiceConfig(hifigan=HIFIGAN, hifigan_source=str(folders["hifigan"] / "model.safetensors")))
    assert network(torch.zeros(4, 80)).shape == (4 * 256,)


def test_original_names_of_tacotron_fit_too() -> None:
    own = build_tacotron(TACOTRON).state_dict()
    original = {}
    for name, tensor in own.items():
        deeper = name.replace("prenet.layers.0.", "prenet.layers.0.linear_layer.").replace("convolutions.0.0.", "convolutions.0.0.conv.")
        original[deeper.replace("gate_layer.", "gate_layer.linear_layer.")] = tensor
    assert set(original) != set(own)
    assert set(tacotron_names(original)) == set(own)


@pytest.mark.parametrize(("source", "message"), [("", "hifigan_source is not set"), ("nothing", "does not exist")])
def test_a_vocoder_that_is_not_there_is_told(source: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_hifigan(VoiceConfig(hifigan=HIFIGAN, hifigan_source=source))


def test_a_vocoder_of_another_pace_is_refused() -> None:
    slower = HifiGanConfig(channels=16, rates=(8, 8), kernels=(16, 16), residual_kernels=(3,), residual_dilations=((1,),))
    with pytest.raises(RapportError, match="make 64 samples of a frame"):
        TacotronVoice(build_tacotron(TACOTRON), build_hifigan(slower))


def test_spectra_have_a_frame_for_every_hop() -> None:
    assert log_mels(torch.zeros(22_050)).shape == (80, 86)
    assert log_mels(torch.zeros(10)).shape == (80, 4)
    assert torch.isfinite(log_mels(torch.zeros(2_000))).all()


def test_the_published_sizes_are_those_of_the_paper() -> None:
    published = published_body()
    with torch.device("meta"):
        speller = ImageToUnits(published.image_to_units, 768, 1_000)
        tacotron, hifigan = build_tacotron(published.voice.tacotron), build_hifigan(published.voice.hifigan)
    assert sum(p.numel() for p in hifigan.parameters()) == pytest.approx(13.9e6, rel=0.01)
    assert tacotron.embedding.weight.shape == (16_384, 512)
    assert len(speller.decoder) == 6
    assert isinstance(speller.from_feature, nn.Identity)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="embedded codebook only"):
        BodyConfig(hearing=HearingConfig(kind="s5hubert"))
    with pytest.raises(ValueError, match="raise voice"):
        BodyConfig(voice=VoiceConfig(kind="tacotron", tacotron=TACOTRON))
