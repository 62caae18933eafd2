import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.cluster import KMeans, MiniBatchKMeans

from rapport.models.units.published import PublishedError, read_published

FRAMES = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)


def fitted(kind: type = MiniBatchKMeans, frames: np.ndarray = FRAMES) -> KMeans:
    return kind(n_clusters=7, random_state=np.random.RandomState(3), n_init=1).fit(frames)


@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3)])
def test_the_centroids_of_a_joblib_file_are_read(tmp_path: Path, kind: type, compress: object) -> None:
    model = fitted(kind)
    joblib.dump(model, tmp_path / "km.pt", compress=compress)
    centroids, facts = read_published(tmp_path / "km.pt")
    assert centroids.dtype == np.float32
    np.testing.assert_array_equal(centroids, model.cluster_centers_)
    assert facts["class"].endswith(kind.__name__)
    assert len(facts["published_sha256"]) == 64


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_pickles_and_double_precision_are_read(tmp_path: Path, protocol: int) -> None:
    model = fitted(KMeans, FRAMES.astype(np.float64))
    (tmp_path / "km.pkl").write_bytes(pickle.dumps(model, protocol=protocol))
    np.testing.assert_allclose(read_published(tmp_path / "km.pkl")[0], model.cluster_centers_, rtol=1e-6)


def test_arrays_in_fortran_order_are_read(tmp_path: Path) -> None:
    model = fitted()
    model.cluster_centers_ = np.asfortranarray(model.cluster_centers_)
    joblib.dump(model, tmp_path / "km.pt")
    np.testing.assert_array_equal(read_published(tmp_path / "km.pt")[0], model.cluster_centers_)


class Attack:
    """Would write a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_that_would_run_something_is_refused_by_name_and_runs_nothing(tmp_path: Path, inside: bool) -> None:
    model = fitted()
    if inside:
        model.extra_ = Attack(tmp_path / "touched")
    joblib.dump(model if inside else Attack(tmp_path / "touched"), tmp_path / "km.pt")
    with pytest.raises(PublishedError, match=r"posix\.system"):
        read_published(tmp_path / "km.pt")
    assert not (tmp_path / "touched").exists()


def test_what_is_no_fitted_k_means_is_refused(tmp_path: Path) -> None:
    from sklearn.decomposition import PCA

    joblib.dump(PCA(2).fit(FRAMES), tmp_path / "pca.pt")
    with pytest.raises(PublishedError, match=r"sklearn\.decomposition"):
        read_published(tmp_path / "pca.pt")
    joblib.dump({"cluster_centers_": FRAMES}, tmp_path / "dict.pt")
    with pytest.raises(PublishedError, match="holds dict"):
        read_published(tmp_path / "dict.pt")
    joblib.dump(KMeans(3), tmp_path / "empty.pt")
    with pytest.raises(PublishedError, match="without centroids"):
        read_published(tmp_path / "empty.pt")
    joblib.dump(np.array([Attack(tmp_path)], object), tmp_path / "objects.pt")
    with pytest.raises(PublishedError, match=r"wanted numbers|posix"):
        read_published(tmp_path / "objects.pt")


def test_a_file_that_is_cut_short_or_no_pickle_is_refused(tmp_path: Path) -> None:
    joblib.dump(fitted(), tmp_path / "km.pt")
    data = (tmp_path / "km.pt").read_bytes()
    for size in range(1, len(data), 97):
        (tmp_path / "cut.pt").write_bytes(data[:size])
        with pytest.raises(PublishedError):
            read_published(tmp_path / "cut.pt")
    (tmp_path / "text.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(PublishedError, match="cannot be read as a pickle"):
        read_published(tmp_path / "text.pt")
