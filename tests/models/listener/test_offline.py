"""Front ends for finished recordings: what their published makers give, on the clock of the motion."""

from pathlib import Path

import numpy as np
import opensmile
import pytest
import torch
from torchaudio.transforms import MFCC

from rapport.core.errors import RapportError
from rapport.core.motion_clock import frame_ends
from rapport.models.backends.frames.transformer import load
from rapport.models.listener.config import EgemapsConfig, FrontEndConfig, ListenerConfig, SslConfig
from rapport.models.listener.front_end import FrontEnd, load_front_end
from rapport.models.listener.model import HeadMotionModel
from rapport.models.units.config import FrameConfig, TransformerConfig
from tests.models.listener.conftest import speech
from tests.models.ser.conftest import write_encoder

SPEECH = speech(1.5)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(folder, "wav2vec2-group")
    return folder


def check(front_end: FrontEnd, width: int) -> np.ndarray:
    rows = front_end.features(SPEECH)
    assert rows.shape == (45, width) == (45, front_end.width)
    assert rows.dtype == np.float32
    assert np.isfinite(front_end.features(np.full(9000, np.nan, np.float32))).all()
    assert front_end.features(SPEECH[:100]).shape == (0, width)
    with pytest.raises(RapportError, match="needs the whole recording"):
        front_end.stream()
    return rows


def test_mfcc_are_those_of_torchaudio_at_the_times_of_the_frames() -> None:
    rows = check(load_front_end(FrontEndConfig(kind="mfcc")), 28)
    mfcc = MFCC(16_000, 28, melkwargs={"n_fft": 1024, "hop_length": 533, "n_mels": 28, "center": False})
    # Every third frame ends where a window of hop 1600 does; the floor under the loudest band holds for the recording.
    mfcc.MelSpectrogram.hop_length = mfcc.MelSpectrogram.spectrogram.hop_length = 1600
    start = int(frame_ends(2, 3, 30)[0]) - 1024
    wanted = mfcc(torch.from_numpy(SPEECH[start:]))[:, :10].T.numpy()
    np.testing.assert_allclose(rows[2::3][:10], wanted, atol=2e-2)


@pytest.mark.parametrize("window", ["past", "future"])
def test_egemaps_are_those_of_opensmile_over_the_window(window: str) -> None:
    config = FrontEndConfig(kind="egemaps", egemaps=EgemapsConfig.model_validate({"window": window, "window_s": 0.2}))
    rows = check(load_front_end(config), 88)
    end = int(frame_ends(20, 21, 30)[0])
    heard = SPEECH[end - 3200 : end] if window == "past" else SPEECH[end : end + 3200]
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    np.testing.assert_allclose(rows[20], np.nan_to_num(smile.process_signal(heard, 16_000).to_numpy()[0]), rtol=1e-5)


def test_rows_of_an_encoder_are_its_last_frames_by_then(encoder: Path) -> None:
    front_end = load_front_end(FrontEndConfig(kind="ssl", ssl=SslConfig(source=str(encoder), layer=1)))
    rows = check(front_end, 32)
    (frames,) = load(FrameConfig(transformer=TransformerConfig(source=str(encoder), layer=1), device="cpu")).encode([SPEECH])
    for k, end in enumerate(frame_ends(0, 45, 30).tolist()):
        last = max(j for j in range(len(frames)) if j == 0 or j * 320 + 400 <= end)
        np.testing.assert_allclose(rows[k], frames[last], atol=1e-6)


def test_the_published_features_are_the_normalised_convolutions(encoder: Path) -> None:
    front_end = load_front_end(FrontEndConfig(kind="ssl", ssl=SslConfig(source=str(encoder))))
    rows = check(front_end, 16)
    assert front_end.identity["encoder"]["layer"] == "convolutions"
    from transformers import AutoModel

    model = AutoModel.from_pretrained(encoder).eval()
    scaled = (SPEECH - SPEECH.mean()) / np.sqrt(SPEECH.var() + 1e-7)
    with torch.no_grad():
        published = model(torch.from_numpy(scaled)[None]).extract_features[0].numpy()
    np.testing.assert_allclose(rows[-1], published[(24_000 - 400) // 320], atol=1e-4)


def test_a_model_takes_its_width_from_an_encoder(encoder: Path) -> None:
    config = ListenerConfig.model_validate({"front_end": {"kind": "ssl", "ssl": {"source": str(encoder)}}})
    model = HeadMotionModel(config, front_end=load_front_end(config.front_end)).eval()
    assert model.predict(SPEECH).shape == (45, 3)
