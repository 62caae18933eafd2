"""The made CREMA-D has the counts of the published one, before its gaps."""

from collections import Counter

from rapport.datasets.synthetic.layouts import cremad
from rapport.datasets.synthetic.plan import Request


def test_the_whole_has_the_counts_of_the_design() -> None:
    clips = cremad.plan(Request())
    assert len(clips) == 7462
    assert set(Counter(c.actor for c in clips).values()) == {82}
    assert Counter(c.emotion for c in clips) == {"NEU": 1092, **dict.fromkeys(("ANG", "DIS", "FEA", "HAP", "SAD"), 1274)}
    assert {c.level for c in clips if c.sentence == "IEO" and c.emotion == "ANG"} == {"LO", "MD", "HI"}
    assert {c.level for c in clips if c.sentence != "IEO"} == {"XX"}
    assert clips[0].path == "AudioWAV/1001_DFA_ANG_XX.wav"


def test_part_of_it_keeps_the_emotions_balanced() -> None:
    counts = Counter(c.emotion for c in cremad.plan(Request(1, 20)))
    assert sum(counts.values()) == 20
    assert set(counts.values()) <= {3, 4}
