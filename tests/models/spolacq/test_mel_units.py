"""Speech through units and back is understood."""

from pathlib import Path

import numpy as np
import pytest

from rapport.core.audio import resample
from rapport.core.errors import RapportError
from rapport.models.backends.asr import pocketsphinx
from rapport.models.spolacq.config import HearingConfig
from rapport.models.spolacq.griffin_lim import griffin_lim
from rapport.models.spolacq.mel_units import HOP, fit_mel_units, load_mel_units, mel_bands, stretches
from rapport.models.spolacq.speech_to_units import load_hearing
from rapport.models.spolacq.voice import Remembering, SpectrumVoice
from rapport.models.units.codebook import CodebookError
from tests.models.spolacq import tiny


def test_sentences_are_understood_after_a_way_through_units() -> None:
    ears = pocketsphinx.load(sentences=tiny.SENTENCES)
    units = tiny.units().hear([tiny.spoken(s) for s in tiny.SENTENCES], 22_050)
    voice = SpectrumVoice(tiny.units())
    heard = [ears.transcribe(resample(clip, voice.rate_hz, 16_000)) for clip in voice.speak(units)]
    assert np.mean([a == b for a, b in zip(heard, tiny.SENTENCES, strict=True)]) >= 0.95
    assert max(map(len, units)) <= 50


def test_units_keep_time() -> None:
    units, clip = tiny.units(), tiny.spoken("give me cocoa")
    ids = units.hear([clip], 22_050)[0]
    assert len(ids) / units.units_per_s == pytest.approx(len(clip) / 22_050, abs=0.25)
    (spoken,) = SpectrumVoice(units).speak([ids])
    assert len(spoken) == len(ids) * units.config.stacked_frames * HOP
    assert np.abs(spoken).max() == pytest.approx(0.9, abs=1e-3)


def test_units_do_not_depend_on_loudness_silence_around_or_neighbours() -> None:
    clip = tiny.spoken("tea")
    silence = np.zeros(22_050, np.float32)
    first, quiet, alone, nothing = (
        tiny.units().hear([clip, clip * np.float32(0.25)], 22_050)
        + tiny.units().hear([clip], 22_050)
        + tiny.units().hear([silence], 22_050)
    )
    assert first.tolist() == quiet.tolist() == alone.tolist()
    assert len(nothing) == 0
    assert len(tiny.units().hear([np.concatenate([silence, clip, silence])], 22_050)[0]) <= len(first) + 2


def test_the_same_clips_give_the_same_codebook() -> None:
    clips = [tiny.spoken(s) for s in tiny.SENTENCES[:3]]
    config = HearingConfig(clusters=16)
    fits = [fit_mel_units(clips, 22_050, config, seed=3), load_hearing(config, clips, 22_050, seed=3)]
    assert fits[0].identity == fits[1].identity
    assert fits[0].count == 16
    assert fit_mel_units(clips[:1], 22_050, HearingConfig(clusters=5_000)).count < 200  # as many as there are distinct stretches


def test_units_come_back_from_their_folder(tmp_path: Path) -> None:
    tiny.units().save(tmp_path / "units")
    again = load_mel_units(tmp_path / "units")
    assert again.identity == tiny.units().identity
    assert again.config == tiny.units().config
    with pytest.raises(CodebookError, match="does not exist"):
        load_mel_units(tmp_path / "nothing")


def test_speech_without_units_is_a_second_of_silence() -> None:
    voice = SpectrumVoice(tiny.units())
    (clip,) = voice.speak([np.zeros(0, np.int32)])
    assert len(clip) == voice.rate_hz
    assert not clip.any()


def test_a_voice_remembers_only_so_much() -> None:
    voice = Remembering(SpectrumVoice(tiny.units()), capacity=2)
    sequences = [np.array([i, i + 1], np.int32) for i in range(3)]
    first = voice.speak([*sequences, sequences[0]])
    assert first[0] is first[3]
    assert (voice.asked, voice.found) == (4, 1)
    again = voice.speak(sequences)
    assert voice.found == 1 + 2
    for left, right in zip(first, again, strict=False):
        np.testing.assert_array_equal(left, right)


def test_what_cannot_be_units_is_refused() -> None:
    with pytest.raises(RapportError, match="this voice has 0 to 127"):
        SpectrumVoice(tiny.units()).speak([np.array([128])])
    with pytest.raises(RapportError, match="not finite"):
        stretches(np.array([0.0, np.nan]), 16_000, HearingConfig())
    with pytest.raises(RapportError, match="no sound"):
        fit_mel_units([np.zeros(16_000)], 16_000, HearingConfig())


@pytest.mark.parametrize("bands", [32, 64, 96])
def test_every_band_hears_something(bands: int) -> None:
    np.testing.assert_allclose(mel_bands(bands).sum(0), 1, rtol=1e-5)


def test_griffin_lim_gives_the_spectrum_it_was_given() -> None:
    from rapport.models.spolacq.mel_units import WINDOW, magnitudes

    seconds = np.arange(8_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 440 * seconds)).astype(np.float32)
    wanted = magnitudes(np.pad(tone, WINDOW // 2))
    sound = griffin_lim(wanted, 30)
    found = magnitudes(np.pad(sound, WINDOW // 2))[5:-5]
    shares = [part / np.linalg.norm(part) for part in (wanted[5 : 5 + len(found)], found)]
    assert (shares[0] * shares[1]).sum() > 0.98
