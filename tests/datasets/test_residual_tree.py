from pathlib import Path

import numpy as np
import pytest

from rapport.core.errors import RapportError
from rapport.datasets.residual_tree import read_residual_tree


def test_residuals_lie_where_the_audio_does(tmp_path: Path) -> None:
    wanted = np.random.default_rng(0).normal(size=(7, 4))
    place = tmp_path / "residuals" / "0011" / "Angry"
    place.mkdir(parents=True)
    np.save(place / "0011_000351.npy", wanted)
    tree = read_residual_tree(tmp_path / "residuals", tmp_path / "esd")
    found = tree.get(f"{tmp_path}/esd/0011/Angry/0011_000351.wav")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_audio_from_elsewhere_matches_nothing(tmp_path: Path) -> None:
    (tmp_path / "residuals").mkdir()
    tree = read_residual_tree(tmp_path / "residuals", tmp_path / "esd")
    with pytest.raises(RapportError, match="does not lie below audio_root"):
        tree.get(f"{tmp_path}/esd2/0011/Angry/a.wav")
    with pytest.raises(RapportError, match="cannot read the residuals"):
        tree.get(f"{tmp_path}/esd/0011/Angry/a.wav")
    with pytest.raises(RapportError, match="no folder"):
        read_residual_tree(tmp_path / "none", tmp_path)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2), int), np.full((2, 2), np.nan), np.array([[{}]], object)])
def test_what_is_no_matrix_of_finite_numbers_is_refused(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(RapportError, match=r"a\.npy"):
        read_residual_tree(tmp_path, "/audio").get("/audio/a.wav")
