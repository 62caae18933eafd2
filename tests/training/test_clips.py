import threading
import time
from functools import partial

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.training.clips import Clips, read_ahead
from tests.training.conftest import EMOTIONS, tone, tone_clips, tone_rows


def test_a_batch_is_padded_on_the_right_with_silence():
    clips = tone_clips(range(2))
    batch = clips.batch([3, 0, 5])
    assert batch.targets.tolist() == clips.targets[[3, 0, 5]].tolist()
    for row, length, index in zip(batch.waveforms, batch.lengths, (3, 0, 5), strict=True):
        assert np.array_equal(row[:length], tone(clips.rows[index].utterance_id))
        assert row[length:].abs().sum() == 0
    assert batch.waveforms.shape[1] == batch.lengths.max()


def test_each_clip_is_changed_by_its_own_name():
    batch = tone_clips(range(1)).batch([0, 1], lambda samples, name: samples[: 100 + len(name)])
    assert batch.lengths.tolist() == [100 + len(row.utterance_id) for row in tone_rows(range(1))[:2]]


def test_labels_that_are_not_listed_are_refused():
    with pytest.raises(RapportError, match=r"'sad' of 'tones'; wanted one of neutral, happy"):
        Clips(tone_rows(range(1)), tone, EMOTIONS[:2], ("tones",))


def test_emotions_are_counted():
    assert tone_clips(range(2)).counts == {"neutral": 4, "happy": 4, "sad": 4}


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order(threads):
    def task(index: int) -> int:
        time.sleep(0.002 * (5 - index % 5))
        return index

    assert list(read_ahead([partial(task, i) for i in range(20)], threads)) == list(range(20))


def test_reading_ahead_stays_bounded_and_stops_with_its_reader():
    started: list[int] = []
    results = read_ahead((partial(started.append, i) for i in range(1000)), 2)
    next(results)
    time.sleep(0.05)
    results.close()
    assert len(started) <= 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("clips")]


def test_an_error_reaches_the_reader():
    def fail():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(read_ahead([fail], 2))
