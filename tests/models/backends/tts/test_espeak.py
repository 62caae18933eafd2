"""The embedded voice: repeatable to the sample, and moved by each part of prosody."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import numpy as np
import pytest

from rapport.core.audio import rms_db
from rapport.core.errors import RapportError
from rapport.core.speech import Prosody, Voice, prosody_of
from rapport.models.backends.tts import espeak

TEXT = "Dogs are sitting by the door."
MALE, FEMALE = Voice("en-us+m3"), Voice("en-us+f2")


def speak(voice: Voice = MALE, prosody: Prosody | None = None, text: str = TEXT, seed: int = 0) -> tuple[np.ndarray, int]:
    return espeak.load().speak(text, voice, prosody, seed=seed)


def duration_s(voice: Voice = MALE, prosody: Prosody | None = None) -> float:
    samples, rate_hz = speak(voice, prosody)
    return len(samples) / rate_hz


def pitch_hz(voice: Voice = MALE, prosody: Prosody | None = None) -> float:
    """Median over frames of the strongest autocorrelation between 60 and 500 Hz."""
    samples, rate_hz = speak(voice, prosody)
    size = rate_hz // 20
    found = []
    for frame in samples[: len(samples) // size * size].reshape(-1, size):
        spectrum = np.abs(np.fft.rfft(frame - frame.mean(), 2 * size)) ** 2
        correlation = np.fft.irfft(spectrum)
        lags = slice(rate_hz // 500, rate_hz // 60)
        if correlation[lags].max() > 0.5 * correlation[0] > 0:
            found.append(rate_hz / (lags.start + int(correlation[lags].argmax())))
    return float(np.median(found))


def test_speech_is_finite_and_within_full_scale() -> None:
    samples, rate_hz = speak()
    assert samples.dtype == np.float32
    assert rate_hz == 22_050
    assert 1.0 < len(samples) / rate_hz < 2.5
    assert 0.05 < np.abs(samples).max() < 1


def test_the_same_words_come_out_the_same_whatever_was_said_before() -> None:
    angry = prosody_of("angry")
    first, _ = speak(prosody=angry)
    for voice in (FEMALE, Voice("en-us+m5")):
        speak(voice, prosody_of("fearful"), "Something else entirely, was it not?")
    assert np.array_equal(speak(prosody=angry)[0], first)


def test_the_same_words_come_out_the_same_in_another_process() -> None:
    code = (
        "from hashlib import sha256\n"
        "from rapport.core.speech import Voice, prosody_of\n"
        "from rapport.models.backends.tts import espeak\n"
        f"samples, _ = espeak.load().speak({TEXT!r}, Voice('en-us+f2'), prosody_of('sad'), seed=3)\n"
        "print(sha256(samples.tobytes()).hexdigest())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == sha256(speak(FEMALE, prosody_of("sad"), seed=3)[0].tobytes()).hexdigest()


def test_threads_take_turns() -> None:
    alone = [speak(seed=seed)[0] for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: speak(seed=seed)[0], range(6)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_another_seed_is_another_take() -> None:
    breathy = Prosody(breath=0.5)
    assert not np.array_equal(speak(prosody=breathy, seed=0)[0], speak(prosody=breathy, seed=1)[0])


def test_tempo_and_pauses_set_the_length() -> None:
    assert duration_s(prosody=Prosody(tempo=1.3)) < 0.85 * duration_s() < 0.75 * duration_s(prosody=Prosody(tempo=0.8))
    assert duration_s(prosody=Prosody(pause_s=0.1)) > duration_s() + 0.3


def test_pitch_rises_by_the_semitones_asked_for() -> None:
    semitones = 12 * np.log2(pitch_hz(prosody=Prosody(pitch_st=6.0)) / pitch_hz())
    assert 4.5 < semitones < 7.5
    assert pitch_hz(FEMALE) > 1.4 * pitch_hz(MALE)


def test_formants_move_without_pitch_or_length() -> None:
    small = Voice("en-us+m3", formants=1.15)
    assert pitch_hz(small) == pytest.approx(pitch_hz(), rel=0.08)
    assert duration_s(small) == pytest.approx(duration_s(), rel=0.08)
    assert speak(small)[1] == round(1.15 * espeak.RATE_HZ)


def test_a_shout_is_as_much_louder_as_asked() -> None:
    assert rms_db(speak(prosody=Prosody(level_db=10))[0]) - rms_db(speak()[0]) == pytest.approx(10, abs=0.5)
    assert np.abs(speak(prosody=Prosody(level_db=60))[0]).max() < 1


@pytest.mark.parametrize("voice", [name for names in espeak.VOICES.values() for name in names])
def test_every_listed_voice_speaks(voice: str) -> None:
    assert np.abs(speak(Voice(voice))[0]).max() > 0.05


def test_an_unknown_voice_is_refused_with_those_there_are() -> None:
    with pytest.raises(RapportError, match=r"no voice 'en-us\+x9': take one of en-us\+f1"):
        speak(Voice("en-us+x9"))
    assert len(speak()[0])  # and the engine goes on speaking


@pytest.mark.parametrize("text", ["", "  \n", "word " * 2000])
def test_empty_and_endless_text_is_refused(text: str) -> None:
    with pytest.raises(RapportError, match="characters"):
        speak(text=text)


def test_text_without_words_is_short_and_quiet() -> None:
    samples, _ = speak(text="...")
    assert len(samples)
    assert np.isfinite(samples).all()


def test_manifests_learn_the_engine_and_its_version() -> None:
    assert espeak.load().provenance["engine"] == "espeak-ng"
    assert espeak.load().provenance["version"].count(".") == 2
