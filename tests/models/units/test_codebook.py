import json
from pathlib import Path

import numpy as np
import pytest

from rapport.models.units.codebook import Codebook, CodebookError, load_codebook

ENCODER = {"backend": "cepstra", "layer": "6"}


def codebook(clusters: int = 20, width: int = 8, seed: int = 0, **encoder: str) -> Codebook:
    centroids = np.random.default_rng(seed).normal(size=(clusters, width)).astype(np.float32)
    return Codebook(centroids, {"encoder": {**ENCODER, **encoder}})


def test_frames_go_to_the_nearest_centroid() -> None:
    book = codebook()
    frames = np.random.default_rng(1).normal(size=(20_000, 8)).astype(np.float32)  # more than one table of distances
    ids = book.assign(frames)
    exact = ((frames[::97, None].astype(np.float64) - book.centroids) ** 2).sum(2).argmin(1)
    assert ids.dtype == np.int32
    assert (ids[::97] == exact).all()


def test_ties_go_to_the_lowest_id() -> None:
    book = Codebook(np.array([[1.0], [-1.0], [1.0]], np.float32), {"encoder": ENCODER})
    assert book.assign(np.array([[0.0], [2.0], [-2.0]], np.float32)).tolist() == [0, 0, 1]
    wide = np.random.default_rng(0).normal(size=(1, 33)).repeat(101, 0).astype(np.float32)
    assert not Codebook(wide, {"encoder": ENCODER}).assign(wide + 0.1).any()


def test_a_frame_equal_to_its_centroid_leaves_nothing() -> None:
    book = codebook()
    assert not book.residuals(book.centroids, book.assign(book.centroids)).any()


def test_the_default_residual_taken_off_the_centroid_restores_the_frame() -> None:
    book = codebook()
    frames = np.random.default_rng(1).normal(size=(50, 8)).astype(np.float32)
    ids = book.assign(frames)
    residuals = book.residuals(frames, ids)
    np.testing.assert_allclose(book.centroids[ids] - residuals, frames, atol=1e-6)
    np.testing.assert_array_equal(book.residuals(frames, ids, "frame-centroid"), -residuals)


def test_the_hash_stands_for_centroids_and_encoder() -> None:
    assert codebook().hash == codebook().hash
    assert len({codebook().hash, codebook(seed=1).hash, codebook(layer="7").hash}) == 3


def test_a_saved_codebook_comes_back(tmp_path: Path) -> None:
    book = codebook()
    book.save(tmp_path / "book")
    again = load_codebook(tmp_path / "book")
    assert again.hash == book.hash
    assert dict(again.metadata) == dict(book.metadata)
    np.testing.assert_array_equal(again.centroids, book.centroids)


def test_a_changed_codebook_is_refused(tmp_path: Path) -> None:
    codebook().save(tmp_path)
    facts = json.loads((tmp_path / "codebook.json").read_text())
    facts["encoder"]["layer"] = "7"
    (tmp_path / "codebook.json").write_text(json.dumps(facts))
    with pytest.raises(CodebookError, match="was changed"):
        load_codebook(tmp_path)


def test_a_missing_or_cut_codebook_is_told(tmp_path: Path) -> None:
    with pytest.raises(CodebookError, match="does not exist"):
        load_codebook(tmp_path / "none")
    codebook().save(tmp_path)
    data = (tmp_path / "codebook.safetensors").read_bytes()
    (tmp_path / "codebook.safetensors").write_bytes(data[:50])
    with pytest.raises(CodebookError, match="cannot read"):
        load_codebook(tmp_path)


def test_another_encoder_is_named() -> None:
    with pytest.raises(CodebookError, match="layer is 12, the codebook's is 6"):
        codebook().check_encoder({**ENCODER, "layer": "12"})


def test_frames_of_another_width_are_refused() -> None:
    with pytest.raises(CodebookError, match=r"wants \[T, 8\]"):
        codebook().assign(np.zeros((3, 9), np.float32))
