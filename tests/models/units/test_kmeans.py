import numpy as np
import pytest
from sklearn.cluster import KMeans

from rapport.core.errors import RapportError
from rapport.models.units.kmeans import MiniBatch, choose_start, full_step, merge, perplexity, statistics

CENTRES = np.random.default_rng(5).normal(0, 4, (6, 3))


def blobs(count: int = 3_000, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (CENTRES[random.integers(0, 6, count)] + random.normal(0, 0.3, (count, 3))).astype(np.float32)


def test_shards_together_tell_what_the_whole_tells() -> None:
    frames = blobs()
    centroids = choose_start(frames, 6, seed=1)
    whole = statistics(frames, centroids)
    parts = merge([statistics(part, centroids) for part in np.array_split(frames, 7)])
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_allclose(parts.sums, whole.sums)
    assert parts.distance == pytest.approx(whole.distance)
    assert parts.frames == 3_000
    np.testing.assert_array_equal(parts.far, whole.far)


def test_full_passes_end_where_scikit_learn_ends() -> None:
    frames = blobs()
    start = choose_start(frames, 6, seed=1)
    peer = KMeans(6, init=start, n_init=1, max_iter=10, tol=0).fit(frames)
    centroids = start
    for _ in range(10):
        centroids = full_step(centroids, merge([statistics(part, centroids) for part in np.array_split(frames, 3)]))
    np.testing.assert_allclose(centroids, peer.cluster_centers_, atol=1e-4)
    assert statistics(frames, centroids).distance == pytest.approx(peer.inertia_, rel=1e-4)


def test_a_mini_batch_pass_comes_near() -> None:
    frames = blobs()
    batches = MiniBatch(choose_start(frames, 6, seed=1))
    before = statistics(frames, batches.centroids).mean_distance
    for part in np.array_split(frames, 30):
        batches.step(statistics(part, batches.centroids))
    after = statistics(frames, batches.centroids).mean_distance
    assert after < before
    assert after < 1.1 * 3 * 0.3**2
    assert batches.seen.sum() == 3_000


def test_a_cluster_that_lost_its_frames_gets_a_far_one() -> None:
    frames = np.array([[0.0], [0.1], [9.0]], np.float32)
    moved = full_step(np.array([[0.0], [50.0]], np.float32), statistics(frames, np.array([[0.0], [50.0]], np.float32)))
    assert moved[1] == 9.0


def test_no_frames_change_nothing() -> None:
    centroids = np.ones((2, 3), np.float32)
    none = statistics(np.zeros((0, 3), np.float32), centroids)
    np.testing.assert_array_equal(full_step(centroids, none), centroids)


def test_too_little_speech_is_told() -> None:
    with pytest.raises(RapportError, match="too few"):
        choose_start(blobs(5), 6, seed=0)
    with pytest.raises(RapportError, match="distinct"):
        choose_start(np.ones((50, 3), np.float32), 6, seed=0)


def test_perplexity_counts_the_clusters_in_use() -> None:
    assert perplexity([5, 5, 5, 5]) == pytest.approx(4)
    assert perplexity([20, 0, 0, 0]) == pytest.approx(1)
