"""Speakers are themselves in every corpus of a seed, and unlike each other."""

from rapport.datasets.synthetic.speakers import cast

VOICES = {"female": ("f1", "f2"), "male": ("m1", "m2")}


def test_a_speaker_is_the_same_for_the_same_seed_and_name() -> None:
    assert cast("01", "male", VOICES, seed=3) == cast("01", "male", VOICES, seed=3)
    assert cast("01", "male", VOICES, seed=3) != cast("01", "male", VOICES, seed=4)


def test_speakers_of_one_voice_differ_in_pitch_tempo_and_throat() -> None:
    people = [cast(f"{i:02d}", "female", VOICES, seed=0) for i in range(20)]
    assert {p.voice.name for p in people} == {"f1", "f2"}
    for part in ("pitch_st", "tempo", "formants"):
        assert len({getattr(p.voice, part) for p in people}) >= 18  # those at a bound share it


def test_without_variation_only_voices_differ() -> None:
    plain = cast("01", "male", VOICES, seed=0, variation=0.0)
    assert (plain.voice.pitch_st, plain.voice.tempo, plain.voice.formants, plain.expressiveness) == (0.0, 1.0, 1.0, 1.0)
