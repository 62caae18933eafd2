import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

from rapport.models.backends.frames.transformer import TransformerEncoder, load
from rapport.models.ser.encoders import EncoderError
from rapport.models.units.config import FrameConfig, TransformerConfig
from tests.models.ser.conftest import KINDS, LAYERS, write_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("encoders")

    def of(kind: str) -> Path:
        if not (root / kind).exists():
            write_encoder(root / kind, kind)
        return root / kind

    return of


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds)).astype(np.float32)


def encoder(source: Path, layer: int, **changes: object) -> TransformerEncoder:
    return load(FrameConfig.model_validate({"transformer": TransformerConfig(source=str(source), layer=layer), "device": "cpu", **changes}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", range(LAYERS + 1))
def test_frames_are_the_layer_s_own_output(folder: Callable[[str], Path], kind: str, layer: int) -> None:
    found = encoder(folder(kind), layer).encode([speech(0.5)])[0]
    model = AutoModel.from_pretrained(folder(kind), use_safetensors=True).eval()
    states: list[torch.Tensor] = []
    model.encoder.layers[0].register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    for block in model.encoder.layers:
        block.register_forward_hook(lambda *given: states.append(given[2][0] if isinstance(given[2], tuple) else given[2]))
    samples = torch.from_numpy(speech(0.5))[None]
    if kind.endswith("group"):
        samples = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
    with torch.inference_mode():
        model(samples)
    wanted = states[layer][0].numpy()
    assert found.shape == wanted.shape == ((8_000 - 400) // 320 + 1, 32)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_does_not_see_its_neighbours(folder: Callable[[str], Path], kind: str) -> None:
    whole = encoder(folder(kind), 2, batch_s=2.0)
    clips = [speech(s, seed) for seed, s in enumerate((0.3, 1.4, 0.01, 0.7, 0.31))]
    for clip, together in zip(clips, whole.encode(clips), strict=True):
        assert len(together) == max(1, (len(clip) - 400) // 320 + 1)
        np.testing.assert_allclose(together, whole.encode([clip])[0], atol=1e-4)


def test_batches_stay_within_their_budget(folder: Callable[[str], Path]) -> None:
    small = encoder(folder("wavlm-layer"), 1, batch_s=1.0)
    lengths = [4_000, 16_000, 5_000, 3_000, 20_000]
    batches = list(small._batches(lengths))
    assert sorted(i for batch in batches for i in batch) == [0, 1, 2, 3, 4]
    assert batches == [[4], [1], [2, 0, 3]]


def test_the_identity_is_of_the_weights_in_use_wherever_they_lie(folder: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(folder("wavlm-layer"), tmp_path / "copy")
    first = encoder(folder("wavlm-layer"), 2).provenance
    assert encoder(tmp_path / "copy", 2).provenance == first
    assert encoder(tmp_path / "copy", 1).provenance != first
    model = AutoModel.from_pretrained(tmp_path / "copy", use_safetensors=True)
    with torch.no_grad():
        model.encoder.layers[LAYERS - 1].final_layer_norm.bias += 1
    model.save_pretrained(tmp_path / "copy")
    assert encoder(tmp_path / "copy", 2).provenance == first
    with torch.no_grad():
        model.encoder.layers[0].final_layer_norm.bias += 1
    model.save_pretrained(tmp_path / "copy")
    assert encoder(tmp_path / "copy", 2).provenance != first


def test_a_layer_that_is_not_there_is_told(folder: Callable[[str], Path]) -> None:
    with pytest.raises(EncoderError, match=r"transformer\.layer is 9"):
        encoder(folder("wavlm-layer"), 9)
