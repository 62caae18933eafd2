"""One Ray for all tests, one storage root a session, and the real speech where a copy of it lies beside the checkout."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

# Before anything imports Ray or Transformers: they read these once.
os.environ.pop("RAY_ADDRESS", None)
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# The models here are tiny: a second thread gains nothing, and on a busy computer waiting for it costs a hundred times the work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rapport.ray_jobs.runtime import start_ray

if TYPE_CHECKING:
    import numpy as np

ROOT = Path(__file__).resolve().parents[1]

# On a busy computer any example may take longer than Hypothesis allows, without being wrong.
hypothesis.settings.register_profile("rapport", deadline=None)
hypothesis.settings.load_profile("rapport")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes more than ten seconds on two cores")
    config.addinivalue_line("markers", "gpu: needs a CUDA device, skipped without one")
    config.addinivalue_line("markers", "faults: strikes a job over and over; run by make faults alone")
    config.addinivalue_line("markers", "rehearsal: makes hosts out of namespaces and takes minutes; run by make rehearsal alone")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if any(item.get_closest_marker("gpu") for item in items):
        import torch

        if not torch.cuda.is_available():
            for item in items:
                if item.get_closest_marker("gpu"):
                    item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session", autouse=True)
def storage_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The storage root of every job that a test runs; nothing is written to the user's own."""
    root = tmp_path_factory.mktemp("storage")
    before = {name: os.environ.get(name) for name in ("RAPPORT_STORAGE", "RAPPORT_CACHE")}
    os.environ.update(RAPPORT_STORAGE=str(root), RAPPORT_CACHE=str(tmp_path_factory.mktemp("cache")))
    yield root
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def ray_cluster(storage_root: Path) -> Iterator[dict[str, float]]:
    """A small Ray on this computer, shared by all tests: four logical CPUs, whatever the machine has."""
    with start_ray(num_cpus=4, num_gpus=0, object_store_mib=300) as resources:
        yield resources


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real speech: `RAPPORT_TEST_DATA`, or `../shared/data` beside the checkout. Tests that need it are skipped without it."""
    folder = Path(os.environ.get("RAPPORT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real speech at {folder}")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def ser_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small speech emotion classifier on disk: random, but sure enough of itself that its answers differ from clip to clip."""
    import numpy as np
    import torch

    from rapport.models.ser.classifier import SpeechEmotionClassifier
    from rapport.models.ser.config import DecodingConfig, EncoderConfig, HeadConfig, LogMelConfig, SerConfig

    logmel = LogMelConfig(bands=32, width=0.25, projection=16, gru_hidden=16)
    config = SerConfig(
        encoder=EncoderConfig(logmel=logmel), head=HeadConfig(hidden=16), decoding=DecodingConfig(window_s=1.5, max_clip_s=6.0)
    )
    torch.manual_seed(5)
    model = SpeechEmotionClassifier(config)
    noise = np.random.default_rng(5)
    model.fit_normalisation([noise.normal(0, 0.1, 16_000).astype(np.float32) for _ in range(4)])
    with torch.no_grad():
        model.head.output.weight *= 12
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def emosds_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small speech language model on disk, with its codebook: random, and of stage 3 by its own account."""
    return save_small_emosds(tmp_path_factory.mktemp("models") / "tiny-emosds", seed=3)


def save_small_emosds(folder: Path, seed: int) -> Path:
    """A small speech language model in a folder: another for each seed."""
    import numpy as np

    from rapport.models.backends.llm.config import EmbeddedLlamaConfig
    from rapport.models.emosds.codebooks import keep_codebook
    from rapport.models.emosds.config import EmosdsConfig, InjectionConfig
    from rapport.models.emosds.lineage import Lineage
    from rapport.models.emosds.pretrained import build_model, save_pretrained
    from rapport.models.units.codebook import Codebook
    from rapport.models.units.config import CepstraConfig, FrameConfig
    from rapport.models.units.front_end import describe_encoder, load_encoder

    frames = FrameConfig(backend="cepstra", cepstra=CepstraConfig())
    encoder = load_encoder(frames)
    rng = np.random.default_rng(7)
    codebook = Codebook(rng.normal(0, 1, (20, encoder.width)).astype(np.float32), describe_encoder(encoder, frames))
    config = EmosdsConfig(
        base="embedded",
        embedded=EmbeddedLlamaConfig(hidden=32, layers=2, heads=2, mlp=64, vocabulary=400),
        clusters=20,
        residual_width=encoder.width,
        injection=InjectionConfig(kind="strided", stride=4),
        instructions="short",
        max_tokens=1024,
    )
    texts = ["I missed the last bus.", "That is rough, shall I look for a night train?", "We finally won a match!"] * 20
    model = build_model(config, texts, seed=seed)
    lineage = Lineage(stage=3, codebook_hash=codebook.hash, residual_sign="centroid-frame", tokens_hash=model.manifest.hash)
    save_pretrained(model, folder, lineage=lineage)
    keep_codebook(folder, codebook)
    return folder


@pytest.fixture(scope="session")
def listener_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of head motion on disk: random, but far from still."""
    import numpy as np
    import torch

    from rapport.models.listener.config import ListenerConfig
    from rapport.models.listener.model import HeadMotionModel
    from rapport.models.listener.pretrained import save_pretrained

    network = {"tcn": {"width": 16, "dilations": (1, 2, 4), "look_ahead_frames": 2}}
    torch.manual_seed(3)
    model = HeadMotionModel(ListenerConfig.model_validate({"network": network}))
    noise = np.random.default_rng(3)
    features = model.front_end.features(noise.normal(0, 0.1, 64_000).astype(np.float32))
    model.fit_normalisation([(features, noise.normal(0, 8, (len(features), 3)))])
    model.fit_noise([noise.normal(0, 1, (200, 3)).cumsum(0)])
    with torch.no_grad():
        model.head.output.weight.mul_(3)  # type: ignore[union-attr]
    folder = tmp_path_factory.mktemp("models") / "tiny-listener"
    save_pretrained(model, folder)
    return folder


@pytest.fixture(scope="session")
def voice() -> "Callable[..., np.ndarray]":
    """Something voiced, float32 [S], 16 kHz: a buzz with moving formants; another for each seed."""
    import numpy as np

    from rapport.core.audio import SAMPLE_RATE_HZ

    def make(seconds: float, seed: int = 0) -> np.ndarray:
        draw = np.random.default_rng(seed)
        time_s = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        pitch_hz = draw.uniform(90, 260) * (1 + 0.2 * np.sin(2 * np.pi * draw.uniform(0.5, 3) * time_s))
        phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
        buzz = sum(np.sin(k * phase) / k ** draw.uniform(0.5, 1.5) for k in range(1, 12))
        envelope = 0.6 + 0.4 * np.sin(2 * np.pi * draw.uniform(2, 5) * time_s)
        return (0.1 * buzz * envelope + draw.normal(0, 0.003, len(time_s))).astype(np.float32)

    return make
