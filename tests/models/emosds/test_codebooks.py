from pathlib import Path

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.models.emosds.codebooks import codebook_of, find_codebook, holds_codebook, keep_codebook
from rapport.models.units.codebook import Codebook


def codebook(seed: int) -> Codebook:
    return Codebook(np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32), {"encoder": {"name": "toy"}})


def test_a_model_folder_keeps_its_codebook(tmp_path: Path) -> None:
    assert not holds_codebook(tmp_path)
    keep_codebook(tmp_path, codebook(1))
    assert holds_codebook(tmp_path)
    assert codebook_of(tmp_path, None).hash == codebook(1).hash


def test_a_codebook_is_found_by_its_hash_below_the_storage_root(tmp_path: Path) -> None:
    for seed in (1, 2):
        codebook(seed).save(tmp_path / "features" / "units" / f"book-{seed}")
    wanted = codebook(2).hash
    found = find_codebook(tmp_path, wanted)
    assert found is not None
    assert found.hash == wanted
    assert find_codebook(tmp_path, codebook(3).hash) is None
    assert find_codebook(tmp_path, None) is None
    assert codebook_of(tmp_path / "model", wanted, root=tmp_path).hash == wanted


def test_a_named_codebook_comes_before_the_one_that_is_kept(tmp_path: Path) -> None:
    keep_codebook(tmp_path / "model", codebook(1))
    codebook(2).save(tmp_path / "named")
    assert codebook_of(tmp_path / "model", None, named=tmp_path / "named").hash == codebook(2).hash


def test_a_model_without_a_codebook_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match=r"codebook 0000.*is not below .*--codebook"):
        codebook_of(tmp_path, "0" * 64, root=tmp_path)
