"""The embedded ears hear the embedded voice, and each clip by itself."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rapport.core.audio import SAMPLE_RATE_HZ, load_speech, resample
from rapport.core.errors import RapportError
from rapport.core.speech import Prosody, Voice
from rapport.models.backends.asr import pocketsphinx
from rapport.models.backends.transcribers import load_transcriber
from rapport.models.backends.tts import espeak

SENTENCES = (
    "It's eleven o'clock",
    "That is exactly what happened",
    "I'm on my way to the meeting",
    "I wonder what this is about",
    "Maybe tomorrow it will be cold",
    "Don't forget a jacket",
    "Kids are talking by the door",
    "Dogs are sitting by the door",
)
VOICES = ("en-us+m3", "en-us+m6", "en-us+f2", "en-us+f5")


@cache
def said(text: str, voice: str, prosody: Prosody | None = None) -> np.ndarray:
    samples, rate_hz = espeak.load().speak(f"{text}.", Voice(voice), prosody)
    return resample(samples, rate_hz, SAMPLE_RATE_HZ)


@pytest.fixture(scope="module")
def knows_the_sentences() -> pocketsphinx.PocketSphinx:
    return pocketsphinx.load(sentences=SENTENCES)


@pytest.fixture(scope="module")
def general() -> pocketsphinx.PocketSphinx:
    return pocketsphinx.load()


def test_sentences_of_a_grammar_are_heard_exactly(knows_the_sentences: pocketsphinx.PocketSphinx) -> None:
    heard = [knows_the_sentences.transcribe(said(text, voice)) == pocketsphinx.plain_words(text) for text in SENTENCES for voice in VOICES]
    assert sum(heard) >= 0.95 * len(heard)


def test_an_answer_depends_on_its_clip_alone(general: pocketsphinx.PocketSphinx) -> None:
    clip = said(SENTENCES[4], "en-us+m3")
    alone = general.transcribe(clip)
    general.transcribe(said(SENTENCES[1], "en-us+f2"))
    assert general.transcribe(clip) == alone
    assert general.transcribe(clip * 0.05) == alone


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros(16_000, np.float32)])
def test_silence_is_no_words(general: pocketsphinx.PocketSphinx, samples: np.ndarray) -> None:
    assert general.transcribe(samples) == ""


def test_general_english_is_understood_in_part(general: pocketsphinx.PocketSphinx, shared_data: Path) -> None:
    lines = (shared_data / "ljspeech" / "metadata.csv").read_text(encoding="utf-8").splitlines()[:3]
    said_words, found = 0, 0
    for line in lines:
        name, _, text = line.split("|")
        heard = set(general.transcribe(load_speech(shared_data / "ljspeech" / "wavs" / f"{name}.wav").samples).split())
        words = pocketsphinx.plain_words(text).split()
        said_words += len(words)
        found += sum(word in heard for word in words)
    assert found > 0.6 * said_words


def test_a_grammar_comes_as_text_or_file(tmp_path: Path) -> None:
    grammar = pocketsphinx.sentence_grammar(SENTENCES[-2:])
    (tmp_path / "doors.jsgf").write_text(grammar, encoding="utf-8")
    clip = said(SENTENCES[-1], "en-us+m3")
    transcriber = load_transcriber(f"pocketsphinx:{tmp_path / 'doors.jsgf'}")
    assert transcriber is not None
    assert pocketsphinx.load(grammar).transcribe(clip) == transcriber.transcribe(clip) == "dogs are sitting by the door"


def test_words_that_cannot_be_pronounced_are_named() -> None:
    with pytest.raises(RapportError, match="no 'spolacq', 'zzyx': put other words"):
        pocketsphinx.load(sentences=["hello zzyx", "the Spolacq"])


@pytest.mark.parametrize("grammar", ["#JSGF V1.0; grammar g; public <s> = (yes", "#JSGF nothing"])
def test_a_broken_grammar_is_refused(grammar: str) -> None:
    with pytest.raises(RapportError, match="JSGF grammar"):
        pocketsphinx.load(grammar)


def test_what_cannot_be_a_grammar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="cannot be read: wanted a file of JSGF"):
        pocketsphinx.load(str(tmp_path / "absent.jsgf"))
    with pytest.raises(RapportError, match="not both"):
        pocketsphinx.load("#JSGF V1.0;", sentences=["yes"])
    with pytest.raises(RapportError, match="at least one sentence"):
        pocketsphinx.load(sentences=["...", ""])
