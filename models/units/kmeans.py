"""k-means in pieces: the statistics of a shard, their sum over shards, and the step that they allow.

Whoever runs it spreads the shards: nothing here knows of more than one process. Axes: T frames, D width, K clusters, F far frames.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from sklearn.cluster import kmeans_plusplus

from rapport.core.errors import RapportError
from rapport.models.units.codebook import nearest, squared_norms

_FRAMES_AT_ONCE = 8_192
_FAR = 16
"""Far frames that each shard offers to clusters that lost all of theirs."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What one pass over some frames found out about K clusters."""

    sums: npt.NDArray[np.float64]
    """[K, D] the frames of each cluster, added up."""
    counts: npt.NDArray[np.int64]
    """[K] how many they are."""
    distance: float
    """Sum over frames of the squared distance to the nearest centroid."""
    far: npt.NDArray[np.float32]
    """[F, D] the frames farthest from their centroids, farthest first."""
    far_distances: npt.NDArray[np.float32]
    """[F] their squared distances."""

    @property
    def frames(self) -> int:
        """How many frames were seen."""
        return int(self.counts.sum())

    @property
    def mean_distance(self) -> float:
        """Mean squared distance of a frame."""
        return self.distance / max(self.frames, 1)


def statistics(frames: npt.NDArray[np.floating], centroids: npt.NDArray[np.float32]) -> Statistics:
    """The statistics of frames [T, D] under the centroids [K, D]."""
    clusters, width = centroids.shape
    norms = squared_norms(centroids)
    parts = [_few(frames[i : i + _FRAMES_AT_ONCE], centroids, norms) for i in range(0, len(frames), _FRAMES_AT_ONCE)]
    return merge(parts) if parts else _none(clusters, width)


def merge(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of several shards as one; the order of shards settles the last bits, so keep it."""
    sums = parts[0].sums.copy()
    for part in parts[1:]:
        sums += part.sums
    counts = np.sum([part.counts for part in parts], 0)
    far = np.concatenate([part.far for part in parts])
    distances = np.concatenate([part.far_distances for part in parts])
    order = np.argsort(-distances, kind="stable")[:_FAR]
    return Statistics(sums, counts, float(sum(part.distance for part in parts)), far[order], distances[order])


def choose_start(sample: npt.NDArray[np.floating], clusters: int, seed: int) -> npt.NDArray[np.float32]:
    """[K, D] frames of a sample [T, D] to start from, by k-means++ (Arthur & Vassilvitskii 2007).

    Raises RapportError when there are fewer distinct frames than clusters.
    """
    if len(sample) < clusters:
        raise RapportError(f"{len(sample)} frames are too few for kmeans.clusters {clusters}: give more speech or fewer clusters")
    exact = np.asarray(sample, np.float32)
    chosen, _ = kmeans_plusplus(exact, clusters, random_state=seed % 2**32)
    if len(np.unique(chosen, axis=0)) < clusters:
        raise RapportError(f"the speech has fewer than {clusters} distinct frames: lower kmeans.clusters, or give other speech")
    return np.asarray(chosen, np.float32)


def full_step(centroids: npt.NDArray[np.float32], found: Statistics) -> npt.NDArray[np.float32]:
    """[K, D] the mean of each cluster's frames (Lloyd); clusters without frames go to the frames farthest from any centroid."""
    moved = np.where(found.counts[:, None] > 0, found.sums / np.maximum(found.counts, 1)[:, None], centroids).astype(np.float32)
    empty = np.flatnonzero(found.counts == 0)[: len(found.far)]
    moved[empty] = found.far[: len(empty)]
    return moved


class MiniBatch:
    """Centroids that move after every batch, each the less the more frames it has seen (Sculley 2010)."""

    def __init__(self, centroids: npt.NDArray[np.float32], seen: npt.NDArray[np.int64] | None = None) -> None:
        self.centroids = centroids
        self.seen = np.zeros(len(centroids), np.int64) if seen is None else seen

    def step(self, found: Statistics) -> None:
        """Move towards the means of a batch."""
        self.seen = self.seen + found.counts
        rate = 1 / np.maximum(self.seen, 1)[:, None]
        change = found.sums - found.counts[:, None] * self.centroids
        self.centroids = (self.centroids + rate * change).astype(np.float32)


def perplexity(counts: Iterable[int]) -> float:
    """How many clusters of equal use would be as hard to guess: K when all are used alike, 1 when one takes everything."""
    share = np.asarray(list(counts), np.float64)
    share = share[share > 0] / max(share.sum(), 1)
    return float(np.exp(-(share * np.log(share)).sum()))


def _few(frames: npt.NDArray[np.floating], centroids: npt.NDArray[np.float32], norms: npt.NDArray[np.float32]) -> Statistics:
    exact = np.asarray(frames, np.float32)
    ids, distances = nearest(exact, centroids, norms)
    # One row a cluster with a 1 for each of its frames: the product adds them up at the speed of memory.
    members = csr_array((np.ones(len(ids)), (ids, np.arange(len(ids)))), shape=(len(centroids), len(ids)))
    farthest = np.argsort(-distances, kind="stable")[:_FAR]
    counts = np.bincount(ids, minlength=len(centroids))
    return Statistics(
        members @ exact.astype(np.float64), counts, float(distances.sum(dtype=np.float64)), exact[farthest], distances[farthest]
    )


def _none(clusters: int, width: int) -> Statistics:
    far = np.zeros((0, width), np.float32)
    return Statistics(np.zeros((clusters, width)), np.zeros(clusters, np.int64), 0.0, far, far[:, 0])
