from pathlib import Path

import numpy as np
import pytest

from rapport.models.units.codebook import Codebook, CodebookError
from rapport.models.units.config import CepstraConfig, FrameConfig
from rapport.models.units.front_end import FrontEnd, describe_encoder, load_encoder, load_front_end


def speech(seed: int, seconds: float = 0.5) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)


def saved(folder: Path, config: FrameConfig) -> Codebook:
    encoder = load_encoder(config)
    codebook = Codebook(np.concatenate(encoder.encode([speech(0)]))[::2], describe_encoder(encoder, config))
    codebook.save(folder)
    return codebook


def test_a_codebook_brings_its_encoder_along(tmp_path: Path) -> None:
    config = FrameConfig(cepstra=CepstraConfig(bands=32), device="cpu", batch_s=1)
    codebook = saved(tmp_path, config)
    hear = load_front_end(tmp_path)
    frames = load_encoder(config).encode([speech(1)])[0]
    (units,) = hear([speech(1)])
    np.testing.assert_array_equal(units.ids, codebook.assign(frames))
    assert units.residuals is not None
    np.testing.assert_allclose(codebook.centroids[units.ids] - units.residuals, frames, atol=1e-5)
    assert np.repeat(units.units, units.runs).tolist() == units.ids.tolist()
    assert hear([speech(1)], residuals=False)[0].residuals is None


def test_an_encoder_with_other_settings_is_refused(tmp_path: Path) -> None:
    codebook = saved(tmp_path, FrameConfig())
    with pytest.raises(CodebookError, match="bands is 32, the codebook's is 40"):
        FrontEnd(load_encoder(FrameConfig(cepstra=CepstraConfig(bands=32))), codebook)
