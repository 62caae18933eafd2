import random as global_random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rapport.core.config import with_values
from rapport.core.errors import RapportError
from rapport.datasets.stages import effects
from rapport.datasets.stages.augment import Augment, load_impulse_responses, make_augment, stretch_of
from rapport.datasets.stages.augment_config import PRESETS, STEPS, AugmentConfig, WindowConfig

RATE = 16_000


def tone(seconds=0.6, pitch_hz=180.0, level=0.2):
    time_s = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 9))
    return (level * wave * np.hanning(len(time_s))).astype(np.float32)


def hiss(seconds=1.0, seed=1, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def only(step, **fields):
    return with_values(AugmentConfig(), {f"{step}.p": 1.0, **{f"{step}.{k}": v for k, v in fields.items()}})


def snr_db(mixed, speech, noise):
    """The ratio of speech to noise in a mixture of both, whatever the mixture was scaled by."""
    (a, b), *_ = np.linalg.lstsq(np.stack([speech, noise], 1).astype(np.float64), mixed.astype(np.float64))
    return 10 * np.log10(np.mean((a * speech) ** 2) / np.mean((b * noise) ** 2))


def pitch_of(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 16))
    return spectrum.argmax() * RATE / (1 << 16)


@given(
    wanted_db=st.floats(-10, 40),
    seconds=st.floats(0.05, 1.2),
    level=st.floats(0.001, 0.9),
    noise_level=st.floats(1e-3, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_noise_lands_within_a_tenth_of_a_decibel_of_the_ratio_asked_for(wanted_db, seconds, level, noise_level, seed):
    speech, noise = tone(seconds, level=level), hiss(0.4, seed, noise_level)
    stretch = stretch_of(noise, len(speech), np.random.default_rng(seed))
    mixed = effects.mix_at_snr(speech, stretch, wanted_db)
    assert abs(snr_db(mixed, speech, stretch) - wanted_db) < 0.1
    assert np.abs(mixed).max() <= 1 + 1e-6


def test_the_noise_step_draws_its_ratio_from_the_range():
    speech, noise = tone(), hiss(0.6)
    augment = Augment(only("noise", snr_db=(7.0, 7.0)), [noise])
    assert abs(snr_db(augment(speech, 3), speech, noise) - 7.0) < 0.1


def test_over_active_speech_pauses_do_not_count_as_speech():
    speech = np.concatenate([tone(1.0), np.zeros(3 * RATE, np.float32)])
    noise = hiss(4.0)
    whole, active = (effects.mix_at_snr(speech, noise, 10, over_active_speech=a) for a in (False, True))
    assert abs(snr_db(whole, speech, noise) - 10) < 0.1
    # A quarter of the clip is speech, which is 6 dB above the mean of all of it.
    assert snr_db(active, speech, noise) == pytest.approx(10 - 6, abs=1)


def test_silence_has_no_ratio_and_stays_as_it_is():
    silence = np.zeros(800, np.float32)
    assert np.array_equal(effects.mix_at_snr(silence, hiss(0.05), 10), silence)
    assert np.array_equal(effects.mix_at_snr(tone(0.05), silence, 10), tone(0.05))


ROBUST = with_values(PRESETS["robust"], {f"{name}.p": 0.5 for name in STEPS})


@given(seed=st.integers(0, 2**63 - 1), length=st.integers(1, 12_000))
@settings(max_examples=40)
def test_a_clip_and_a_seed_always_give_the_same_finite_clip(seed, length):
    speech = tone(1.0)[:length]
    before = speech.copy()
    first, second = (Augment(ROBUST, [hiss()])(speech, seed) for _ in range(2))
    assert np.array_equal(first, second)
    assert first.dtype == np.float32
    assert first.ndim == 1
    assert len(first)
    assert np.isfinite(first).all()
    assert np.array_equal(speech, before)


def test_seeds_differ_and_threads_agree_with_one_another():
    augment, speech = Augment(ROBUST, [hiss()]), tone()
    alone = [augment(speech, seed) for seed in range(24)]
    assert len({a.tobytes() for a in alone}) > 20
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: augment(speech, seed), range(24)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_no_global_random_state_is_read_or_changed():
    np.random.seed(1)
    global_random.seed(1)
    states = (repr(np.random.get_state()), global_random.getstate())
    augmented = [Augment(ROBUST, [hiss()])(tone(), seed) for seed in range(10)]
    assert (repr(np.random.get_state()), global_random.getstate()) == states
    np.random.seed(2)
    global_random.seed(2)
    assert all(np.array_equal(a, Augment(ROBUST, [hiss()])(tone(), seed)) for seed, a in enumerate(augmented))


def test_switching_a_step_on_leaves_the_draws_of_the_others_alone():
    speech = tone()
    gain = Augment(only("gain"))(speech, 5)
    both = Augment(with_values(only("gain"), {"reversal.p": 1.0}))(speech, 5)
    assert np.allclose(both, gain[::-1])


def test_probabilities_hold():
    augment = Augment(with_values(AugmentConfig(), {"reversal.p": 0.3}))
    speech = tone(0.01)
    changed = sum(not np.array_equal(augment(speech, seed), speech) for seed in range(1000))
    assert 250 < changed < 350


def test_by_default_nothing_changes():
    assert np.array_equal(Augment(AugmentConfig())(tone(), 0), tone())
    assert AugmentConfig().active == ()


@pytest.mark.parametrize("step", ["pitch", "reverberation", "noise", "gaussian", "equaliser", "gain", "band_limit", "codec"])
def test_a_step_that_keeps_the_length_changes_the_sound(step):
    speech = tone()
    changed = Augment(only(step), [hiss()])(speech, 1)
    assert len(changed) == len(speech)
    assert not np.allclose(changed, speech, atol=1e-3)


@pytest.mark.parametrize(
    ("config", "length", "pitch_hz"),
    [
        (only("speed", factor=(1.25, 1.25)), 1 / 1.25, 225),
        (only("speed", factor=(0.8, 0.8)), 1 / 0.8, 144),
        (only("tempo", rate=(1.25, 1.25)), 1 / 1.25, 180),
        (only("tempo", rate=(0.8, 0.8), method="phase_vocoder"), 1 / 0.8, 180),
        (only("pitch", semitones=(12.0, 12.0)), 1, 360),
        (only("pitch", semitones=(-2.0, -2.0)), 1, 180 * 2 ** (-2 / 12)),
    ],
)
def test_speed_changes_pitch_and_length_tempo_only_length_and_pitch_only_pitch(config, length, pitch_hz):
    time_s = np.arange(2 * RATE) / RATE
    speech = (0.3 * np.sin(2 * np.pi * 180 * time_s)).astype(np.float32)
    changed = Augment(config)(speech, 0)
    assert len(changed) == pytest.approx(len(speech) * length, abs=2)
    assert pitch_of(changed) == pytest.approx(pitch_hz, rel=0.01)


@pytest.mark.parametrize("name", sorted(effects.CODECS))
def test_a_codec_adds_no_delay_and_keeps_the_length_and_the_words(name):
    speech = tone(1.0)
    decoded = effects.encode_and_decode(speech, effects.CODECS[name], 0.5)
    assert len(decoded) == len(speech)
    correlation = np.correlate(decoded, speech, "full")
    assert abs(int(correlation.argmax()) - (len(speech) - 1)) <= 2
    assert np.corrcoef(decoded, speech)[0, 1] > 0.95
    assert not np.array_equal(decoded, speech)


def test_a_codec_takes_samples_beyond_full_scale():
    loud = tone(0.5) * 20
    assert np.abs(effects.encode_and_decode(loud, effects.CODECS["mu_law"], 0)).max() > 1.5


def test_the_band_limit_removes_what_lies_outside():
    noise = hiss(2.0)
    spectrum = np.abs(np.fft.rfft(effects.limit_band(noise, 300, 3400))) ** 2
    hz = np.fft.rfftfreq(len(noise), 1 / RATE)
    inside = spectrum[(hz > 500) & (hz < 3000)].mean()
    assert spectrum[hz < 100].mean() < inside * 1e-3
    assert spectrum[hz > 6000].mean() < inside * 1e-3


def test_the_equaliser_gives_each_octave_its_gain():
    noise = hiss(4.0)
    gains_db = np.array([0, 0, 0, 6.0, 0, -6.0, 0, 0])
    ratio = np.abs(np.fft.rfft(effects.equalise(noise, gains_db))) / np.abs(np.fft.rfft(noise))
    hz = np.fft.rfftfreq(len(noise), 1 / RATE)
    for centre_hz, gain_db in ((500, 6), (2000, -6), (1000, 0)):
        near = ratio[np.abs(hz - centre_hz) < 3]
        assert 20 * np.log10(np.median(near)) == pytest.approx(gain_db, abs=0.3)


def test_a_room_keeps_level_length_and_the_time_of_the_direct_sound():
    speech = tone()
    response = np.zeros(4000, np.float32)
    response[1000], response[1600] = 1.0, 0.5
    wet = effects.reverberate(speech, response)
    assert len(wet) == len(speech)
    assert effects.power(wet) == pytest.approx(effects.power(speech), rel=1e-3)
    scale = wet[:600] @ speech[:600] / (speech[:600] @ speech[:600])
    assert np.allclose(wet[:600], scale * speech[:600], atol=1e-6)


def test_a_made_up_room_decays_as_asked_for():
    response = effects.room(hiss(0.5, level=1.0), 0.5, 6.0)
    reverberation = response[1:].astype(np.float64) ** 2
    assert 10 * np.log10(response[0] ** 2 / reverberation.sum()) == pytest.approx(6.0, abs=0.1)
    early, late = reverberation[800:1600].mean(), reverberation[4800:5600].mean()
    assert 10 * np.log10(early / late) == pytest.approx(60 * 4000 / (0.5 * RATE), abs=1.5)


def test_a_window_keeps_a_random_stretch_and_short_clips_whole():
    augment = Augment(only("window", length_s=(0.2, 0.3)))
    speech = np.arange(RATE, dtype=np.float32)
    windows = [augment(speech, seed) for seed in range(50)]
    assert all(3200 <= len(w) <= 4800 for w in windows)
    assert all(np.array_equal(w, speech[int(w[0]) : int(w[0]) + len(w)]) for w in windows)
    assert min(w[0] for w in windows) < 2000
    assert max(w[-1] for w in windows) > 14_000
    assert np.array_equal(augment(speech[:3000], 0), speech[:3000])


def test_padding_puts_silence_at_both_ends():
    padded = Augment(only("pad", silence_s=(0.1, 0.2)))(np.ones(1600, np.float32), 0)
    (inside,) = np.nonzero(padded)
    assert len(inside) == 1600
    assert 1600 <= inside[0] <= 3200
    assert 1600 <= len(padded) - 1 - inside[-1] <= 3200


def test_noise_without_recordings_is_refused_rather_than_skipped():
    with pytest.raises(RapportError, match=r"augment\.noise\.p"):
        Augment(PRESETS["G2"])
    with pytest.raises(RapportError, match=r"augment\.noise\.p"):
        Augment(PRESETS["G2"], [np.zeros(100, np.float32)])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_runs(name):
    augment = Augment(PRESETS[name], [hiss()])
    for seed in range(8):
        assert np.isfinite(augment(tone(3.0), seed)).all()


def test_the_published_presets_are_the_published_numbers():
    g1, g2, g3 = (PRESETS[name] for name in ("G1", "G2", "G3"))
    assert [(c.gain.p, c.gain.gain_db, c.gain.clip) for c in (g1, g2, g3)] == [(0.5, (-6.0, 6.0), True)] * 3
    assert [c.noise.p for c in (g1, g2, g3)] == [0.3, 0.3, 0.6]
    assert {c.noise.snr_db for c in (g1, g2, g3)} == {(5.0, 20.0)}
    assert [(c.tempo.p, c.tempo.rate, c.tempo.n_fft) for c in (g1, g2, g3)] == [
        (0.5, (0.8, 1.2), 2048),
        (0.3, (0.8, 1.2), 1024),
        (0.6, (0.6, 1.5), 1024),
    ]
    assert g1.active == ("gaussian", "gain", "pitch", "noise", "tempo")
    assert g2.active == ("gain", "noise", "tempo")
    assert g3.active == ("reversal", "gain", "noise", "tempo", "window")
    assert (g1.gaussian.deviation, g1.pitch.semitones, g3.reversal.p, g3.window) == (
        (0.005, 0.005),
        (-4.0, 4.0),
        0.5,
        WindowConfig(p=1.0, length_s=(2.0, 2.0)),
    )


@pytest.mark.parametrize(
    "values",
    [
        {"noise": {"snr_db": (20, 5)}},
        {"noise": {"p": 1.5}},
        {"speed": {"factor": (0.0, 1.0)}},
        {"window": {"length_s": (0.0, 0.0)}},
        {"codec": {"compression": (0.5, 1.5)}},
        {"band_limit": {"high_hz": (3000.0, 9000.0)}},
        {"order": ("gain", "gain")},
        {"order": ("gain",), "noise": {"p": 0.5}},
        {"nois": {}},
    ],
)
def test_settings_that_make_no_sense_are_refused(values):
    with pytest.raises(ValidationError):
        AugmentConfig.model_validate(values)


def test_every_channel_of_a_recorded_room_is_a_room(tmp_path):
    rooms = np.zeros((4800, 3), np.float32)
    rooms[100, :2] = 1
    soundfile.write(tmp_path / "hall.WAV", rooms, 48_000, format="WAV", subtype="FLOAT")
    responses = load_impulse_responses(str(tmp_path))
    assert [len(r) for r in responses] == [1600, 1600]
    augment = make_augment(only("reverberation", recordings=str(tmp_path)), [])
    assert len(augment.impulse_responses) == 2


def test_a_folder_without_recorded_rooms_is_an_error(tmp_path):
    with pytest.raises(RapportError, match="no impulse response"):
        load_impulse_responses(str(tmp_path))


def test_real_rooms_and_noises_are_usable(shared_data):
    rooms = load_impulse_responses(str(shared_data / "rir"))
    assert len(rooms) == 13
    augment = Augment(only("reverberation"), [], rooms)
    for seed in range(6):
        assert np.isfinite(augment(tone(1.0), seed)).all()
