"""Takes vary about the book, by speaker and by chance."""

import numpy as np

from rapport.core.speech import prosody_of
from rapport.datasets.synthetic.prosody import punctuate, take
from rapport.datasets.synthetic.seeds import generator
from rapport.datasets.synthetic.speakers import cast

VOICES = {"female": ("f1",), "male": ("m1",)}
SPEAKERS = [cast(str(i), "female", VOICES, seed=0) for i in range(30)]


def takes(emotion: str, part: str) -> np.ndarray:
    return np.array([getattr(take(s, emotion, 1.0, generator(0, s.name, str(i))), part) for s in SPEAKERS for i in range(3)])


def test_takes_scatter_about_the_book() -> None:
    for emotion in ("angry", "sad", "surprised"):
        assert abs(np.mean(takes(emotion, "pitch_st")) - prosody_of(emotion).pitch_st) < 1
        assert 0.5 < np.std(takes(emotion, "pitch_st")) < 4


def test_anger_stands_apart_from_sadness_and_calm_runs_into_neutral() -> None:
    def distance(first: str, second: str) -> float:
        a, b = takes(first, "level_db"), takes(second, "level_db")
        return float(abs(a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2))

    assert distance("angry", "sad") > 5
    assert distance("calm", "neutral") < 2


def test_quantities_that_cannot_be_negative_are_not() -> None:
    for part in ("pause_s", "breath", "tremor", "roughness", "tempo", "pitch_range", "formants"):
        assert takes("neutral", part).min() >= 0


def test_without_variation_a_take_is_by_the_book() -> None:
    plain = cast("x", "male", VOICES, seed=0, variation=0.0)
    assert take(plain, "happy", 0.5, generator(0, "y"), variation=0.0) == prosody_of("happy", 0.5)


def test_the_mark_at_the_end_fits_the_emotion_now_and_then() -> None:
    marks = {emotion: {punctuate("So", emotion, generator(i, "mark"))[-1] for i in range(30)} for emotion in ("surprised", "angry", "sad")}
    assert marks == {"surprised": {"?", "."}, "angry": {"!", "."}, "sad": {"."}}
