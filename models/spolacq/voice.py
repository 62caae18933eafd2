"""A voice: units to speech."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, from_numpy

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.errors import RapportError
from rapport.models.saving import ModelError
from rapport.models.spolacq.config import BodyConfig
from rapport.models.spolacq.griffin_lim import griffin_lim
from rapport.models.spolacq.mel_units import MelUnits, encoder_of
from rapport.models.spolacq.speech_to_units import SpeechToUnits
from rapport.models.units.codebook import Codebook

if TYPE_CHECKING:
    from torchaudio.models import Tacotron2

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.integer]


class UnitVoice(Protocol):
    """What speaks units."""

    @property
    def rate_hz(self) -> int:
        """Of its speech."""
        ...

    @property
    def identity(self) -> Mapping[str, str]:
        """Equal identities give equal speech."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What `load_voice` makes it of again."""
        ...

    def speak(self, sequences: Sequence[Ints]) -> list[Floats]:
        """Speech, float32 [S] within -1 to 1, of each sequence of units [U]; a second of silence for none.

        Speech depends on its own units alone: not on what stands beside it, nor on what was spoken before.
        """
        ...


def load_voice(config: BodyConfig, tensors: Mapping[str, Tensor], *, source: object, device: str = "cpu") -> UnitVoice:
    """The voice of a body, of the tensors that it told. Raises RapportError when they do not fit the settings; `source` is named then."""
    if config.voice.kind == "tacotron":
        from rapport.models.spolacq.tacotron_voice import load_tacotron_voice

        return load_tacotron_voice(config.voice, tensors, source=source, device=device)
    try:
        codebook = Codebook(tensors["codebook"].numpy(), {"encoder": encoder_of(config.hearing)})
    except KeyError as error:
        raise ModelError(f"{source} holds no voice.codebook, which the embedded voice speaks") from error
    wanted = config.hearing.stacked_frames * config.hearing.bands
    if codebook.width != wanted:
        raise ModelError(f"the codebook of {source} is {codebook.width} numbers wide: its settings want {wanted}")
    return SpectrumVoice(MelUnits(codebook, config.hearing), config.voice.iterations)


def make_voice(config: BodyConfig, hearing: SpeechToUnits, tacotron: "Tacotron2 | None" = None, *, device: str = "cpu") -> UnitVoice:
    """The voice of a new body: of the units that it hears with, or of a trained Tacotron 2 (else that of the settings) and the vocoder.

    Raises RapportError when weights that are needed are not where the settings say.
    """
    if config.voice.kind == "tacotron":
        from rapport.models.spolacq.tacotron_voice import TacotronVoice, load_hifigan, load_tacotron

        return TacotronVoice(tacotron or load_tacotron(config.voice), load_hifigan(config.voice), device=device)
    if not isinstance(hearing, MelUnits):
        raise RapportError(f"voice.kind embedded speaks the embedded units, these are {hearing.identity}")
    return SpectrumVoice(hearing, config.voice.iterations)


class SpectrumVoice:
    """The embedded voice: the spectra of the codebook, with phases by Griffin-Lim."""

    rate_hz = SAMPLE_RATE_HZ

    def __init__(self, units: MelUnits, iterations: int = 12) -> None:
        self.units, self._iterations = units, iterations

    @property
    def identity(self) -> Mapping[str, str]:
        """Of the codebook and the rounds."""
        return {"kind": "embedded", "units": self.units.identity, "iterations": str(self._iterations)}

    def tensors(self) -> dict[str, Tensor]:
        """The codebook."""
        return {"codebook": from_numpy(self.units.codebook.centroids)}

    def speak(self, sequences: Sequence[Ints]) -> list[Floats]:
        """Speech at 16 kHz, 10 ms for each frame of a unit."""
        return [griffin_lim(self.units.spectrum(units), self._iterations) if len(units) else silence(self.rate_hz) for units in sequences]


class Remembering:
    """A voice that gives again what it has spoken, as long as it is among the last `capacity` utterances that were asked for."""

    def __init__(self, voice: UnitVoice, capacity: int = 1024) -> None:
        self._voice, self._capacity = voice, capacity
        self._spoken: OrderedDict[bytes, Floats] = OrderedDict()
        self.asked = 0
        """Utterances that were asked for."""
        self.found = 0
        """How many of them did not have to be spoken: equal ones were, before or beside them."""

    @property
    def rate_hz(self) -> int:
        """Of the voice."""
        return self._voice.rate_hz

    @property
    def identity(self) -> Mapping[str, str]:
        """Of the voice."""
        return self._voice.identity

    def tensors(self) -> dict[str, Tensor]:
        """Of the voice."""
        return self._voice.tensors()

    def speak(self, sequences: Sequence[Ints]) -> list[Floats]:
        """Speech of each, read-only; equal sequences share their samples."""
        keys = [np.asarray(units, np.int32).tobytes() for units in sequences]
        new = {key: units for key, units in zip(keys, sequences, strict=True) if key not in self._spoken}
        self.asked += len(keys)
        self.found += len(keys) - len(new)
        speech = dict(zip(new, self._voice.speak(list(new.values())), strict=True)) if new else {}
        for key in dict.fromkeys(keys):
            if key in self._spoken:
                self._spoken.move_to_end(key)
                speech[key] = self._spoken[key]
            else:
                speech[key].flags.writeable = False
                self._spoken[key] = speech[key]
        while len(self._spoken) > self._capacity:
            self._spoken.popitem(last=False)
        return [speech[key] for key in keys]


def silence(rate_hz: int) -> Floats:
    """A second of it."""
    return np.zeros(rate_hz, np.float32)
