"""The embedded ears: PocketSphinx with the US English model inside its wheel; nothing is fetched.

Its general model is for want of better; told which sentences may come (`sentences` or a JSGF `grammar`), it errs far less.
"""

import re
import threading
from collections.abc import Sequence

import numpy as np
from pocketsphinx import Decoder

from rapport.core.audio import SAMPLE_RATE_HZ, to_pcm16
from rapport.core.errors import RapportError
from rapport.core.storage import read_bytes

_PADDING_S = 0.2
_DITHER = 1e-3
_PEAK = 0.9


def load(grammar: str | None = None, *, sentences: Sequence[str] | None = None) -> "PocketSphinx":
    """A transcriber of general English, or of a JSGF grammar (its text, or a file), or of the listed sentences alone.

    Raises RapportError when both are given, for a grammar that cannot be read, and for words that its dictionary lacks.
    """
    if grammar is not None and sentences is not None:
        raise RapportError("give the transcriber a grammar or sentences, not both")
    if sentences is not None:
        return PocketSphinx(sentence_grammar(sentences))
    return PocketSphinx(grammar if grammar is None or grammar.lstrip().startswith("#JSGF") else _read_grammar(grammar))


def sentence_grammar(sentences: Sequence[str]) -> str:
    """A JSGF grammar of exactly these sentences, punctuation and case left out.

    Raises RapportError when no words are left.
    """
    plain = sorted({words for words in map(plain_words, sentences) if words})
    if not plain:
        raise RapportError("a grammar wants at least one sentence of at least one word")
    return f"#JSGF V1.0;\ngrammar sentences;\npublic <sentence> = {' | '.join(plain)};\n"


def plain_words(text: str) -> str:
    """The words alone, as the dictionary writes them: lower case, apostrophes kept, no other punctuation."""
    return " ".join(re.findall(r"[a-z0-9]+(?:'[a-z0-9]+)*'?", text.lower().replace("’", "'")))


class PocketSphinx:
    """A `rapport.core.speech.Transcriber`. One at a time: calls from several threads take turns."""

    def __init__(self, grammar: str | None = None) -> None:
        self._turn = threading.Lock()
        self._decoder = Decoder(loglevel="FATAL") if grammar is None else Decoder(loglevel="FATAL", lm=None)
        if grammar is not None:
            _check_words(self._decoder, grammar)
            try:
                self._decoder.add_jsgf_string("grammar", grammar)
            except (RuntimeError, ValueError) as error:
                raise RapportError(f"the JSGF grammar cannot be read: {error}\n{grammar[:500]}") from error
            self._decoder.activate_search("grammar")

    def transcribe(self, samples: np.ndarray) -> str:
        """The words of 16 kHz speech, float32 [S]; empty when none are heard."""
        peak = float(np.abs(samples).max(initial=0))
        if peak == 0:
            return ""
        padding = np.zeros(round(_PADDING_S * SAMPLE_RATE_HZ), np.float32)
        speech = np.concatenate([padding, samples * np.float32(_PEAK / peak), padding])
        # Without a little noise, stretches of digital silence ruin the features (logarithm of zero energy).
        speech += np.random.default_rng(0).normal(0, _DITHER, len(speech)).astype(np.float32)
        with self._turn:
            # Forgets the noise of the clip before: an answer depends on its own clip alone.
            self._decoder.reinit_feat()
            self._decoder.start_utt()
            self._decoder.process_raw(to_pcm16(speech).tobytes(), full_utt=True)
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""


def _read_grammar(path: str) -> str:
    try:
        return read_bytes(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RapportError(f"{path} cannot be read: wanted a file of JSGF, or JSGF itself, which begins with #JSGF ({error})") from error


def _check_words(decoder: Decoder, grammar: str) -> None:
    """Refuse words of the grammar's rules that cannot be pronounced; PocketSphinx itself would not tell which."""
    rules = re.sub(r"//.*|/\*.*?\*/", " ", grammar, flags=re.DOTALL).split(";")
    bodies = (rule.split("=", 1)[1] for rule in rules if "=" in rule)
    tokens = {t for body in bodies for t in re.findall(r"[\w'’-]+", re.sub(r"<[^>]*>|\{[^}]*\}|/[\d.]+/", " ", body))}
    unknown = sorted(t for t in tokens if decoder.lookup_word(t) is None)
    if unknown:
        raise RapportError(f"the English dictionary has no {', '.join(map(repr, unknown[:10]))}: put other words into the grammar")
