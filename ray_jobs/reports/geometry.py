"""How a model's embeddings lie in space: 2-D maps to look at, and numbers that do not depend on the map.

Everything starts from the same view: each dimension scaled to unit variance, then the first 30 principal components.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core.errors import RapportError

FloatArray = npt.NDArray[np.float64]

MAPS = ("t-SNE", "UMAP")
COMPONENTS = 30
MINIMUM_CLIPS = 8


def principal_view(embeddings: npt.ArrayLike, seed: int = 0) -> FloatArray:
    """The standardised embeddings [N, D] on their first principal components [N, at most 30].

    Raises RapportError with fewer than 8 clips: no map or test means anything then.
    """
    from sklearn.decomposition import PCA

    points = np.asarray(embeddings, dtype=np.float64)
    if len(points) < MINIMUM_CLIPS:
        raise RapportError(f"wanted embeddings of at least {MINIMUM_CLIPS} clips to draw, got {len(points)}")
    spread = points.std(0)
    scaled = (points - points.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    return PCA(min(COMPONENTS, *points.shape), random_state=seed).fit_transform(scaled)


def draw_map(name: str, view: FloatArray, seed: int = 0) -> FloatArray:
    """A map of the view [N, D] in the plane [N, 2], the same for the same seed; `name` is one of `MAPS`."""
    return {"t-SNE": _tsne, "UMAP": _umap}[name](view, seed).astype(np.float64)


def _tsne(view: FloatArray, seed: int) -> npt.NDArray[Any]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    # One thread: on a processor that others use too, the threads of this many tiny steps mostly wait for one another (5 s against 25 s).
    with threadpool_limits(1):
        return TSNE(2, perplexity=min(30.0, (len(view) - 1) / 3), init="pca", random_state=seed).fit_transform(view)


def _umap(view: FloatArray, seed: int) -> npt.NDArray[Any]:
    import umap

    # The spectral start needs many more clips than dimensions. A fixed seed needs a single thread.
    start = "spectral" if len(view) > 50 else "random"
    return umap.UMAP(n_neighbors=min(15, len(view) - 1), init=start, random_state=seed, n_jobs=1).fit_transform(view)


def group_discrepancy(view: FloatArray, groups: npt.ArrayLike, count: int, *, most: int = 2000, seed: int = 0) -> FloatArray:
    """The squared maximum mean discrepancy [count, count] between all pairs of groups, with an RBF kernel (Gretton et al. 2012).

    The kernel's width is the median distance between two clips. The estimate is unbiased, so it can be a little below zero for groups
    that are alike; NaN where a group has fewer than two clips. Only `most` clips, drawn by the seed, are compared.
    """
    from scipy.spatial.distance import pdist, squareform

    labels = np.asarray(groups)
    if len(view) > most:
        kept = np.random.default_rng(seed).choice(len(view), most, replace=False)
        view, labels = view[kept], labels[kept]
    squared = pdist(view, "sqeuclidean")
    kernel = squareform(np.exp(-squared / max(2 * float(np.median(squared)), 1e-12)))  # its diagonal is zero: a clip is not its own pair
    member = (labels[:, None] == np.arange(count)).astype(np.float64)
    sizes = member.sum(0)
    sums = member.T @ kernel @ member
    with np.errstate(invalid="ignore", divide="ignore"):
        within = np.diagonal(sums) / (sizes * (sizes - 1))
        found = within[:, None] + within[None, :] - 2 * sums / np.outer(sizes, sizes)
    np.fill_diagonal(found, 0.0)
    absent = sizes < 2
    found[absent, :] = found[:, absent] = np.nan
    return found


def centroid_distances(view: FloatArray, groups: npt.ArrayLike, count: int) -> FloatArray:
    """The Euclidean distance [count, count] between the means of all pairs of groups; NaN for a group without clips."""
    labels = np.asarray(groups)
    with np.errstate(invalid="ignore"):
        member = (labels == np.arange(count)[:, None]).astype(np.float64)
        centres = (member @ view) / np.where(member.sum(1) > 0, member.sum(1), np.nan)[:, None]
    return np.sqrt(((centres[:, None] - centres[None]) ** 2).sum(-1))


def agreement_with_confusion(distances: FloatArray, confusion: npt.ArrayLike) -> dict[str, float | int | None]:
    """Spearman's rank correlation between distance and mutual confusion over pairs of classes: `rho`, `p` and `pairs`.

    The confusion of a pair is the mean of its two row-normalised entries. Strongly negative means that classes are confused because
    they lie close together. None with fewer than three pairs, or when either side is constant.
    """
    from scipy.stats import spearmanr

    counts = np.asarray(confusion, dtype=np.float64)
    shares = counts / np.where(counts.sum(1, keepdims=True) > 0, counts.sum(1, keepdims=True), np.nan)
    upper = np.triu_indices(len(counts), 1)
    far, mixed = distances[upper], ((shares + shares.T) / 2)[upper]
    valid = np.isfinite(far) & np.isfinite(mixed)
    far, mixed = far[valid], mixed[valid]
    if len(far) < 3 or np.ptp(far) == 0 or np.ptp(mixed) == 0:
        return {"rho": None, "p": None, "pairs": len(far)}
    rho, p = spearmanr(far, mixed)
    return {"rho": float(rho), "p": float(p), "pairs": len(far)}


def separability(view: FloatArray, groups: npt.ArrayLike, seed: int = 0) -> float | None:
    """The mean silhouette of the groups, from -1 (mixed up) over 0 (overlapping) to 1 (far apart); None without two groups to compare."""
    from sklearn.metrics import silhouette_score

    labels = np.asarray(groups)
    if not 2 <= len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(view, labels, sample_size=min(len(view), 3000), random_state=seed))


def describe_space(
    view: FloatArray, targets: npt.ArrayLike, corpora: Sequence[str], confusion: npt.ArrayLike, labels: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """The numbers of a space as plain JSON values.

    `mmd` [E, E] and `centroid_distance` [E, E] between emotions, each with its `agreement` with the confusion; `separability` of the
    emotions, of the corpora (high is bad: the model hears the recording), and of the emotions within each corpus.
    """
    classes, names, found = len(labels), np.asarray(corpora, dtype=object), np.asarray(targets)
    mmd, centres = group_discrepancy(view, found, classes, seed=seed), centroid_distances(view, found, classes)
    distinct = sorted({str(name) for name in corpora})
    between = group_discrepancy(view, [distinct.index(name) for name in corpora], len(distinct), seed=seed)
    return {
        "labels": list(labels),
        "clips": len(view),
        "components": int(view.shape[1]),
        "mmd": _finite(mmd),
        "centroid_distance": _finite(centres),
        "agreement": {"mmd": agreement_with_confusion(mmd, confusion), "centroid_distance": agreement_with_confusion(centres, confusion)},
        "separability": {
            "emotions": separability(view, found, seed),
            "corpora": separability(view, names, seed),
            "emotions_within": {name: separability(view[names == name], found[names == name], seed) for name in distinct},
        },
        "corpora": distinct,
        "corpus_mmd": _finite(between),
    }


def _finite(matrix: FloatArray) -> list[list[float | None]]:
    return [[float(x) if np.isfinite(x) else None for x in row] for row in matrix]
