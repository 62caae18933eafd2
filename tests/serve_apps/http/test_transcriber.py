"""Long recordings are transcribed in pieces."""

import asyncio
from itertools import pairwise

import numpy as np

from rapport.serve_apps.http.transcriber import TranscriberReplica, pieces


def talk(*seconds: float) -> np.ndarray:
    """Voice and silence by turns, beginning with voice."""
    phase = 2 * np.pi * 140 * np.arange(16_000) / 16_000
    vowel = (0.2 * np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0)).astype(np.float32)
    parts = [np.resize(vowel, round(s * 16_000)) if i % 2 == 0 else np.zeros(round(s * 16_000), np.float32) for i, s in enumerate(seconds)]
    return np.concatenate(parts)


def test_a_short_clip_is_one_piece() -> None:
    assert pieces(talk(3), 5) == [(0, 48_000)]


def test_a_long_clip_is_cut_in_its_pauses() -> None:
    found = pieces(talk(3, 1, 3, 1, 3), 5)
    assert (found[0][0], found[-1][1]) == (0, 11 * 16_000)
    assert all(end == start for (_, end), (start, _) in pairwise(found)), "nothing is lost between pieces"
    for cut, (begins_s, ends_s) in zip([end for _, end in found[:-1]], [(3, 4), (7, 8)], strict=True):
        assert begins_s < cut / 16_000 < ends_s


def test_voice_without_a_pause_is_cut_anyway() -> None:
    assert max(end - first for first, end in pieces(talk(12), 5)) == 5 * 16_000
    assert max(end - first for first, end in pieces(np.zeros(12 * 16_000, np.float32), 5)) == 5 * 16_000


def test_the_words_of_all_pieces_are_joined() -> None:
    words = asyncio.run(TranscriberReplica("pocketsphinx").transcribe(talk(1, 0.5, 1)))
    assert isinstance(words, str)
