"""The made RAVDESS has the counts of the published one."""

from collections import Counter

import pytest

from rapport.datasets.synthetic.layouts import ravdess
from rapport.datasets.synthetic.plan import Request


def test_the_whole_has_the_published_counts() -> None:
    clips = ravdess.plan(Request())
    assert len(clips) == 1440
    assert set(Counter(c.actor for c in clips).values()) == {60}
    assert Counter(c.emotion for c in clips) == {"01": 96, **{f"{e:02d}": 192 for e in range(2, 9)}}
    assert not [c for c in clips if c.emotion == "01" and c.intensity == "02"]
    assert clips[0].path == "Actor_01/03-01-01-01-01-01-01.wav"
    assert clips[-1].path == "Actor_24/03-01-08-02-02-02-24.wav"


@pytest.mark.parametrize("utterances", [8, 20, 24, 40])
def test_part_of_it_keeps_the_emotions_balanced(utterances: int) -> None:
    for actor in ("01", "02"):
        counts = Counter(c.emotion for c in ravdess.plan(Request(2, utterances)) if c.actor == actor)
        others = [count for emotion, count in counts.items() if emotion != "01"]
        assert sum(counts.values()) == utterances
        assert max(others) - min(others) <= 1
        assert counts["01"] == min(4, max(others)) or abs(counts["01"] - max(others)) == 1


def test_actors_are_given_different_parts() -> None:
    takes = {actor: {c.path[-20:-6] for c in ravdess.plan(Request(2, 16)) if c.actor == actor} for actor in ("01", "02")}
    assert takes["01"] != takes["02"]
