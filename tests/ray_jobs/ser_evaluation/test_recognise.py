import numpy as np
import pytest

from rapport.datasets.stages.effects import power
from rapport.ray_jobs.ser_evaluation.recognise import _actors, noisy


@pytest.fixture
def noises():
    random = np.random.default_rng(0)
    return [(0.1 * random.standard_normal(length)).astype(np.float32) for length in (4_000, 50_000)]


def test_noise_lies_as_far_below_the_clip_as_asked(noises):
    clip = (0.1 * np.sin(np.arange(16_000) / 20)).astype(np.float32)
    for snr_db in (20.0, 5.0):
        added = noisy(clip, noises, snr_db, "c/1", seed=0) - clip
        assert 10 * np.log10(power(clip) / power(added)) == pytest.approx(snr_db, abs=0.1)


def test_a_clip_gets_the_same_noise_at_every_ratio_and_another_clip_another(noises):
    clip = (0.1 * np.sin(np.arange(16_000) / 20)).astype(np.float32)
    loud, soft = (noisy(clip, noises, snr_db, "c/1", seed=0) - clip for snr_db in (5.0, 25.0))
    assert np.allclose(loud, 10 * soft, atol=1e-4)
    other = noisy(clip, noises, 5.0, "c/2", seed=0) - clip
    assert not np.allclose(loud, other, atol=1e-3)


@pytest.mark.parametrize(
    ("resources", "gpus", "speech_s", "actors"),
    [({"CPU": 8.0}, 0, 100, 1), ({"CPU": 8.0}, 0, 3000, 5), ({"CPU": 2.0}, 0, 90_000, 2), ({"CPU": 8.0, "GPU": 2.0}, 1.0, 90_000, 2)],
)
def test_as_many_copies_of_the_model_as_there_is_work_and_room_for(resources, gpus, speech_s, actors):
    assert _actors(resources, gpus, speech_s) == actors
