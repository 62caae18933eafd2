"""The made MUSAN is nested and shared out as the published one."""

from collections import Counter

import numpy as np
import pytest

from rapport.core.audio import load_speech, rms_db
from rapport.core.errors import RapportError
from rapport.datasets.synthetic.layouts import musan
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Studio
from rapport.models.backends.tts import espeak


def test_the_whole_has_the_published_counts() -> None:
    assert Counter(s.category for s in musan.plan(Request())) == {"noise": 930, "music": 660, "speech": 426}


@pytest.mark.parametrize("files", [3, 4, 10, 60])
def test_every_category_is_there_however_small(files: int) -> None:
    counts = Counter(s.category for s in musan.plan(Request(utterances=files)))
    assert sum(counts.values()) == files
    assert min(counts.values()) >= 1
    assert len(counts) == 3


def test_fewer_files_than_categories_are_refused() -> None:
    with pytest.raises(RapportError, match="at least 3"):
        musan.plan(Request(utterances=2))


def test_sounds_of_each_kind_differ_and_are_loud_enough() -> None:
    studio = Studio(espeak.load(), 0)
    noises = [s for s in musan.plan(Request(speakers=3, utterances=12)) if s.category == "noise"][:5]
    shapes = []
    for sound in noises:
        speech = load_speech(musan.render(sound, studio)[sound.path])
        assert -31 < rms_db(speech.samples) < -17
        assert 4 <= speech.duration_s <= 10
        spectrum = np.abs(np.fft.rfft(speech.samples[:32_000])) ** 2
        shapes.append(np.log([part.mean() for part in np.array_split(spectrum, 16)]))
    distances = [np.linalg.norm(a - b) for i, a in enumerate(shapes) for b in shapes[:i]]
    assert min(distances) > 1
