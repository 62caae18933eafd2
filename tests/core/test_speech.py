"""The prosody of emotions, as every voice takes it."""

import pytest

from rapport.core.emotions import EMOTIONS
from rapport.core.errors import RapportError
from rapport.core.speech import EMOTION_PROSODY, Prosody, blend, prosody_of


def test_every_emotion_has_a_prosody_of_its_own() -> None:
    assert set(EMOTION_PROSODY) == set(EMOTIONS)
    assert len(set(EMOTION_PROSODY.values())) == len(EMOTIONS)


def test_strength_leads_from_neutral_to_the_full_emotion() -> None:
    assert prosody_of("angry", 0.0) == Prosody()
    assert prosody_of("angry") == EMOTION_PROSODY["angry"]
    assert 0 < prosody_of("angry", 0.5).level_db < prosody_of("angry").level_db


def test_a_blend_lies_between_its_ends() -> None:
    middle = blend(Prosody(pitch_st=-2.0, tempo=0.8), Prosody(pitch_st=4.0, tempo=1.2), 0.5)
    assert middle.pitch_st == pytest.approx(1.0)
    assert middle.tempo == pytest.approx(1.0)


def test_an_unknown_emotion_is_refused_by_name() -> None:
    with pytest.raises(RapportError, match="did you mean 'angry'"):
        prosody_of("angrey")
