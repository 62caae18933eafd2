"""The published voice: units to spectra by Tacotron 2, spectra to sound by HiFi-GAN.

Utterances are spoken one at a time, and the dropout that Tacotron's prenet keeps in speaking is drawn from a seed that the units give: the
same units have the same speech, whatever stands beside them.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchaudio.models import Tacotron2
from transformers import SpeechT5HifiGan

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.models.saving import WEIGHTS, ModelError, load_strict
from rapport.models.spolacq.config import VoiceConfig
from rapport.models.spolacq.hifigan import build_hifigan, hifigan_names
from rapport.models.spolacq.tacotron import HOP, RATE_HZ, build_tacotron, tacotron_names
from rapport.models.spolacq.voice import silence

_TACOTRON, _HIFIGAN = "tacotron.", "hifigan."


class TacotronVoice:
    """A `rapport.models.spolacq.voice.UnitVoice`."""

    rate_hz = RATE_HZ

    def __init__(self, tacotron: Tacotron2, hifigan: SpeechT5HifiGan, *, device: str = "cpu") -> None:
        """Both networks are moved to the device. Raises RapportError when the vocoder makes another number of samples of a frame."""
        made = int(np.prod(hifigan.config.upsample_rates))
        if made != HOP:
            raise RapportError(f"voice.hifigan.rates make {made} samples of a frame: spectra here are {HOP} samples apart")
        self._tacotron, self._hifigan, self._device = tacotron, hifigan, torch.device(device)
        for network in (tacotron, hifigan):
            _ready(network, self._device)
        self._symbols = tacotron.embedding.num_embeddings
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        self._identity = {"kind": "tacotron", "weights_sha256": digest.hexdigest()}

    @property
    def identity(self) -> Mapping[str, str]:
        """A hash of the weights."""
        return self._identity

    def tensors(self) -> dict[str, Tensor]:
        """The weights of both networks."""
        networks = ((_TACOTRON, self._tacotron), (_HIFIGAN, self._hifigan))
        return {f"{prefix}{name}": tensor for prefix, network in networks for name, tensor in network.state_dict().items()}

    def speak(self, sequences: Sequence[npt.NDArray[np.integer]]) -> list[npt.NDArray[np.float32]]:
        """Speech at 22,050 Hz; a second of silence for no units, and where synthesis fails, as it may on what nobody ever said.

        Raises RapportError for units that have no embedding.
        """
        return [self._speak(np.asarray(units, np.int64)) for units in sequences]

    def _speak(self, units: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if not len(units):
            return silence(RATE_HZ)
        if not 0 <= int(units.min()) <= int(units.max()) < self._symbols:
            raise RapportError(f"units reach from {units.min()} to {units.max()}: voice.tacotron.symbols is {self._symbols}")
        seed = int.from_bytes(hashlib.blake2b(units.tobytes(), digest_size=7).digest(), "big")
        devices = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.inference_mode(), torch.random.fork_rng(devices), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of speech that is cut off at max_frames
                torch.manual_seed(seed)
                mels, _, _ = self._tacotron.infer(torch.from_numpy(units)[None].to(self._device))
                sound = self._hifigan(mels[0].T).float().cpu().numpy()
        except RuntimeError:
            return silence(RATE_HZ)
        return sound if np.isfinite(sound).all() else silence(RATE_HZ)


def load_tacotron_voice(config: VoiceConfig, tensors: Mapping[str, Tensor], *, source: object, device: str = "cpu") -> TacotronVoice:
    """The voice of weights that `TacotronVoice.tensors` told. Raises ModelError when they do not fit the settings."""
    tacotron, hifigan = build_tacotron(config.tacotron), build_hifigan(config.hifigan)
    for prefix, network in ((_TACOTRON, tacotron), (_HIFIGAN, hifigan)):
        weights = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        load_strict(network, weights, source)
    return TacotronVoice(tacotron, hifigan, device=device)


def load_tacotron(config: VoiceConfig) -> Tacotron2:
    """The Tacotron 2 of `config.tacotron_source`. Raises ModelError when there is none, or it does not fit the settings."""
    network = build_tacotron(config.tacotron)
    load_strict(network, tacotron_names(_weights(config.tacotron_source, "voice.tacotron_source")), config.tacotron_source)
    return network


def load_hifigan(config: VoiceConfig) -> SpeechT5HifiGan:
    """The vocoder of `config.hifigan_source`. Raises ModelError when there is none, or it does not fit the settings."""
    network = build_hifigan(config.hifigan)
    load_strict(network, hifigan_names(_weights(config.hifigan_source, "voice.hifigan_source")), config.hifigan_source)
    return network


def _ready(network: nn.Module, device: torch.device) -> None:
    network.eval().requires_grad_(False).to(device)


def _weights(source: str, setting: str) -> dict[str, Tensor]:
    if not source:
        raise ModelError(f"{setting} is not set: wanted a .safetensors file, or a folder with {WEIGHTS}")
    place = storage.join(source, WEIGHTS) if storage.is_folder(source) else source
    if not storage.exists(place):
        raise ModelError(f"{setting} {source} does not exist: wanted a .safetensors file, or a folder with {WEIGHTS}")
    try:
        return load_file(storage.local_copy(place))
    except SafetensorError as error:
        raise ModelError(f"{setting} {place} is no file of safetensors: {error}") from error
