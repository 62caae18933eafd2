"""What every encoder in models/backends/frames keeps to."""

from pathlib import Path

import numpy as np
import pytest

from rapport.core import plugins
from rapport.core.speech import FrameEncoder
from rapport.models.units.config import FrameConfig, TransformerConfig
from tests.models.ser.conftest import write_encoder

NAMES = plugins.available("models.backends.frames")


@pytest.fixture(scope="module", params=NAMES)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FrameEncoder:
    folder: Path = tmp_path_factory.mktemp("encoder")
    if request.param == "transformer":
        write_encoder(folder, "wavlm-layer")
    config = FrameConfig(backend=request.param, transformer=TransformerConfig(source=str(folder), layer=2), device="cpu")
    loaded: FrameEncoder = plugins.load("models.backends.frames", request.param).load(config)
    return loaded


def clips() -> list[np.ndarray]:
    return [np.random.default_rng(i).normal(0, 0.1, round(16_000 * s)).astype(np.float32) for i, s in enumerate((0.9, 0.3, 0.05, 1.2))]


def test_every_clip_has_finite_frames_of_the_width_told(encoder: FrameEncoder) -> None:
    for frames in encoder.encode(clips()):
        assert frames.dtype == np.float32
        assert frames.ndim == 2
        assert frames.shape[1] == encoder.width
        assert len(frames) >= 1
        assert np.isfinite(frames).all()


def test_the_number_of_frames_follows_the_hop(encoder: FrameEncoder) -> None:
    (frames,) = encoder.encode(clips()[-1:])
    expected = 1.2 / encoder.hop_s if encoder.hop_s else 1
    assert len(frames) == pytest.approx(expected, abs=7)


def test_frames_do_not_depend_on_company_or_order(encoder: FrameEncoder) -> None:
    together = encoder.encode(clips()[::-1])[::-1]
    for clip, frames in zip(clips(), together, strict=True):
        np.testing.assert_allclose(frames, encoder.encode([clip])[0], atol=1e-4)


def test_clips_are_left_as_they_were_and_none_gives_none(encoder: FrameEncoder) -> None:
    given = clips()
    for clip in given:
        clip.setflags(write=False)
    encoder.encode(given)
    assert encoder.encode([]) == []


def test_the_identity_is_text_that_names_the_backend(encoder: FrameEncoder) -> None:
    assert all(isinstance(k, str) and isinstance(v, str) for k, v in encoder.provenance.items())
    assert encoder.provenance["backend"] in NAMES
