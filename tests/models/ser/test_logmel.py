"""The embedded encoder: exact at the edges, changed only while training, and reproducible."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rapport.core.errors import RapportError
from rapport.models.ser.classifier import SpeechEmotionClassifier
from rapport.models.ser.config import LogMelAugmentConfig, LogMelConfig
from rapport.models.ser.frames import frame_mask
from rapport.models.ser.logmel import LogMelEncoder, LogMelFrontEnd, mel_filterbank
from rapport.models.ser.logmel_augment import LogMelAugment
from rapport.models.ser.losses import emotion_loss
from rapport.models.ser.mixup import Mix
from tests.models.ser.conftest import batch, speech

Make = Callable[..., SpeechEmotionClassifier]
STILL = LogMelAugmentConfig(warp=0, tempo=0, gain_db=0, time_masks=0, band_masks=0)


def tone(hz: float, duration_s: float = 0.5) -> torch.Tensor:
    return 0.3 * torch.sin(2 * torch.pi * hz * torch.arange(round(duration_s * 16000)) / 16000)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"deltas": True, "normalise": "clip_bands"},
        {"normalise": "clip_level", "gru_layers": 2},
        {"architecture": "plain", "gru_hidden": 0, "pitch": {"candidates": 0}},
        {"pitch": {"candidates": 45, "per_octave": 12}, "deltas": True},
        {"architecture": "plain", "n_fft": 1024, "hop_samples": 256, "bands": 32},
    ],
)
def test_padding_and_batch_mates_do_not_change_logits(make_classifier: Make, changes: dict[str, object]) -> None:
    model = make_classifier("logmel", logmel=changes).eval()
    # Every remainder of the frame count by the network's stride, and a clip shorter than one window.
    clips = [speech(s, i) for i, s in enumerate((0.50, 1.51, 0.52, 0.73, 0.02))]
    with torch.inference_mode():
        together = model(*batch(*clips)).logits
        alone = torch.cat([model(*batch(clip)).logits for clip in clips])
        longer = model(torch.nn.functional.pad(batch(clips[0])[0], (0, 12345)), torch.tensor([len(clips[0])])).logits
    assert together.std() > 0.1, "logits that hardly differ would prove nothing"
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
    torch.testing.assert_close(longer, alone[:1], atol=1e-4, rtol=0)


def test_a_tone_lights_its_band_and_a_larger_scale_moves_it_up() -> None:
    config = LogMelConfig()
    front = LogMelFrontEnd(config).eval()
    plain = front(*batch(tone(1000)))
    high = front(*batch(tone(1000)), warp=1.2)
    higher = front(*batch(tone(1200)))
    bands = [int(p.mel[0, 0, :, 20].argmax()) for p in (plain, high, higher)]
    centres_hz = mel_filterbank(config).argmax(0) * 16000 / config.n_fft
    assert abs(float(centres_hz[bands[0]]) - 1000) < 60
    assert bands[1] == bands[2] > bands[0]


def test_every_filter_sums_to_one_and_those_above_the_spectrum_are_empty() -> None:
    sums = mel_filterbank(LogMelConfig()).sum(0)
    torch.testing.assert_close(sums, torch.ones(64), atol=1e-4, rtol=0)
    sums = mel_filterbank(LogMelConfig(), 0.8).sum(0)
    assert sums[-1] == 0
    assert (sums[:50] > 0.99).all()


def test_normalisation_is_fitted_to_the_clips_and_saved(make_classifier: Make) -> None:
    front = LogMelFrontEnd(LogMelConfig(augment=STILL)).eval()
    clips = [speech(0.5, 1), speech(1.0, 2)]
    front.fit_normalisation([c.numpy() for c in clips])
    pictures = front(*batch(*clips))
    valid = frame_mask(pictures.lengths, pictures.mel.shape[3])
    mel, pitch = (p[:, 0].transpose(1, 2)[valid] for p in (pictures.mel, pictures.pitch))
    torch.testing.assert_close(mel.mean(0), torch.zeros(64), atol=1e-4, rtol=0)
    assert float(mel.std(0, correction=0).mean()) == pytest.approx(1, abs=1e-3)
    assert float(pitch.mean()) == pytest.approx(0, abs=1e-3)
    assert float(pitch.std(correction=0)) == pytest.approx(1, abs=1e-3)
    assert {"mean", "deviation"} == set(front.state_dict())
    with pytest.raises(RapportError, match="training split is empty"):
        front.fit_normalisation([])


def test_a_steady_tone_has_no_slope_and_a_rising_one_has() -> None:
    front = LogMelFrontEnd(LogMelConfig(deltas=True, augment=STILL)).eval()
    pictures = front(*batch(tone(1000, 0.5), torch.linspace(0.01, 1, 8000) * tone(1000, 0.5))).mel
    inner = pictures[:, 1, :, 5:-5]
    band = int(pictures[0, 0, :, 20].argmax())
    assert inner[0, band].abs().max() < 1e-2
    assert (inner[1, band] > 1e-2).all()


@pytest.mark.parametrize("hz", [90.0, 140.0, 260.0, 400.0])
def test_the_pitch_of_a_voice_is_its_most_salient_candidate(hz: float) -> None:
    config = LogMelConfig(n_fft=1024, window_samples=640)
    voice = sum((tone(hz * h) / h for h in range(1, 12)), torch.zeros(8000))
    picture = LogMelFrontEnd(config).eval()(*batch(voice)).pitch
    assert picture is not None
    found = config.pitch.min_hz * 2 ** (int(picture[0, 0, :, 20].argmax()) / config.pitch.per_octave)
    assert abs(12 * np.log2(found / hz)) < 0.7, "within a semitone"


def test_pitch_salience_does_not_depend_on_level() -> None:
    front = LogMelFrontEnd(LogMelConfig()).eval()
    clip = speech(0.5)
    one, other = front(*batch(clip)).pitch, front(*batch(0.1 * clip)).pitch
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_training_changes_pictures_by_the_seed_and_evaluation_does_not() -> None:
    front = LogMelFrontEnd(LogMelConfig(augment=LogMelAugmentConfig(equaliser_db=3, noise_p=0.5)))
    clips = batch(speech(0.8), speech(0.5, 1), speech(0.3, 2))

    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return front(*clips).mel

    front.train()
    assert torch.equal(run(0), run(0))
    assert run(0).shape != run(1).shape or not torch.equal(run(0), run(1))
    front.eval()
    assert torch.equal(run(0), run(1))


def test_each_clip_of_a_batch_is_changed_in_its_own_way() -> None:
    front = LogMelFrontEnd(LogMelConfig()).train()
    pictures = front(*batch(*[speech(1.0)] * 8))
    assert len(set(pictures.lengths.tolist())) > 4
    assert len({round(float(p.sum()), 3) for p in pictures.mel}) == 8


@pytest.mark.parametrize("seed", range(5))
def test_tempo_stays_in_its_range_and_keeps_the_picture(seed: int) -> None:
    torch.manual_seed(seed)
    ramp = torch.arange(200.0)[None, :, None].expand(6, -1, 4).clone()
    frames = torch.tensor([200, 150, 40, 31, 10, 1])
    picture, stretched = LogMelAugment(LogMelAugmentConfig(tempo=0.2)).reshape(ramp, frames)
    ratio = stretched / frames
    assert (ratio[:2] > 0.81).all()
    assert (ratio[:2] < 1.23).all()
    assert (stretched >= frames.clamp(max=30)).all()
    for i in range(2):  # a ramp stays a ramp, from the first value to the last
        line = picture[i, : stretched[i], 0]
        assert float(line[0]) <= 1
        assert abs(float(line[-1]) - float(frames[i] - 1)) <= 1
        assert (line.diff()[2:-2] - 1 / ratio[i]).abs().max() < 1e-3


def test_gain_is_in_decibels() -> None:
    torch.manual_seed(0)
    picture = torch.zeros(500, 3, 4)
    changed = LogMelAugment(STILL.model_copy(update={"gain_db": 6.0})).colour(picture, torch.full((500,), 3))
    decibels = 10 * torch.log10(changed.exp())
    assert decibels.abs().max() <= 6.001
    assert decibels.abs().max() > 5.8
    assert torch.equal(changed[:, :1, :1].expand_as(changed), changed)


def test_masks_cover_no_more_than_asked() -> None:
    torch.manual_seed(0)
    augment = LogMelAugment(LogMelAugmentConfig(time_masks=1, time_mask_frames=25, band_masks=1, band_mask_bands=10))
    frames = torch.full((300,), 60)
    masked = augment.mask(torch.ones(300, 100, 70), frames, 64) == 0
    hidden_frames, hidden_bands = masked.all(2).sum(1), masked[:, 60:].all(1).sum(1)
    assert not masked[:, 60:, 64:].any(), "bands only, not pitch"
    assert int(hidden_frames.max()) == 15, "a quarter of the clip"
    assert not masked.all(2)[:, 60:].any(), "only within the clip"
    assert int(hidden_bands.max()) == 10
    assert int(hidden_frames.min()) == int(hidden_bands.min()) == 0


def test_the_noise_floor_lies_below_the_loudest_band_of_its_clip() -> None:
    torch.manual_seed(0)
    picture = torch.full((50, 80, 16), -13.8)
    picture[:, 10, 3] = 0.0
    picture[:, 60:] = 5.0  # beyond the clips
    augment = LogMelAugment(STILL.model_copy(update={"noise_p": 1.0, "noise_below_peak_db": (20.0, 30.0)}))
    floor = augment.colour(picture, torch.full((50,), 60))[:, 20:60].mean((1, 2)) / np.log(10) * 10
    assert floor.min() > -31
    assert floor.max() < -19


def test_a_mix_of_a_clip_with_itself_is_the_clip_and_a_pair_is_blended() -> None:
    front = LogMelFrontEnd(LogMelConfig()).eval()
    clips = batch(speech(0.5, 1), speech(0.8, 2))
    plain = front(*clips)
    same = front(*clips, mix=Mix(torch.tensor([0, 1]), torch.tensor([0.7, 0.7])))
    torch.testing.assert_close(same.mel, plain.mel)
    mixed = front(*clips, mix=Mix(torch.tensor([1, 0]), torch.tensor([0.7, 0.6])))
    torch.testing.assert_close(mixed.mel[0], 0.7 * plain.mel[0] + 0.3 * plain.mel[1])
    torch.testing.assert_close(mixed.pitch[1], 0.6 * plain.pitch[1] + 0.4 * plain.pitch[0])
    assert mixed.lengths.tolist() == [int(plain.lengths.max())] * 2


@pytest.mark.parametrize(
    "changes", [{}, {"deltas": True}, {"architecture": "plain"}, {"gru_hidden": 0}, {"bf16": False, "pitch": {"candidates": 0}}]
)
def test_everything_in_it_trains(make_classifier: Make, changes: dict[str, object]) -> None:
    model = make_classifier("logmel", logmel=changes).train()
    waveforms, lengths = batch(speech(0.5), speech(0.4, 1), speech(0.3, 2))
    mix = Mix(torch.tensor([1, 2, 0]), torch.full((3,), 0.8))
    emotion_loss(model(waveforms, lengths, mix=mix).logits, torch.tensor([0, 1, 2])).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert without in ([], ["pooling.score.bias"])  # a softmax does not see what is added to all its scores


def test_it_learns_to_tell_two_tones_apart(make_classifier: Make) -> None:
    model = make_classifier("logmel").train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    clips = [tone(hz, 0.4) + 0.01 * speech(0.4, i) for i, hz in enumerate((400, 450, 500, 2000, 2200, 2400))]
    targets = torch.tensor([0, 0, 0, 1, 1, 1])
    torch.manual_seed(0)
    for _ in range(25):
        optimiser.zero_grad()
        emotion_loss(model(*batch(*clips)).logits, targets).backward()
        optimiser.step()
    with torch.inference_mode():
        assert torch.equal(model.eval()(*batch(*clips)).logits.argmax(1), targets)


def test_a_frozen_embedded_encoder_stays_as_it_is(make_classifier: Make) -> None:
    model = make_classifier("logmel", freeze=True).train()
    assert not any(m.training for m in model.encoder.modules())
    assert not any(p.requires_grad for p in model.encoder.parameters())


def test_recipe_sizes() -> None:
    def count(**changes: object) -> int:
        return sum(p.numel() for p in LogMelEncoder(LogMelConfig.model_validate(changes)).parameters())

    assert count() == 491_912
    assert count(pitch={"candidates": 0}) == 468_104
    assert count(pitch={"candidates": 0}, architecture="plain") == 345_216
