"""The body of an agent that learned to speak: eyes, a beam search for what to say, and a voice.

    body = SpolacqBody.from_pretrained("~/rapport/models/spolacq/cafe")
    features = body.see(pictures)                       # [N, F]
    speech = body.say(features, sentences)              # [N, F] and [N, Z] to N clips at body.rate_hz
    units = body.units(features, sentences)             # what the same speech is made of

Everything is in evaluation mode, and the same action gives the same samples, whatever stands beside it in a batch.
"""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.core.errors import RapportError
from rapport.models.saving import ModelError, load_folder, load_strict, save_folder
from rapport.models.spolacq.beam import search
from rapport.models.spolacq.captions import PAD, Vocabulary
from rapport.models.spolacq.config import BodyConfig
from rapport.models.spolacq.eyes import Eyes, load_eyes
from rapport.models.spolacq.i2u import ImageToUnits
from rapport.models.spolacq.voice import Remembering, UnitVoice, load_voice

Floats = npt.NDArray[np.float32]

KIND = "spolacq_body"

_SPELLER, _VOICE = "image_to_units.", "voice."


class SpolacqBody:
    """A `rapport.simulator.body.Body`."""

    def __init__(self, config: BodyConfig, eyes: Eyes, speller: ImageToUnits, vocabulary: Vocabulary, voice: UnitVoice) -> None:
        """The parts of a body; of `speller` a copy is kept, on its device. Raises RapportError for parts that do not fit each other."""
        if speller.feature_width != eyes.width:
            raise RapportError(f"the image-to-unit model takes features of {speller.feature_width} numbers, these eyes give {eyes.width}")
        if speller.vocabulary_size != vocabulary.size:
            raise RapportError(f"the image-to-unit model has {speller.vocabulary_size} ids, the vocabulary {vocabulary.size}")
        self.config, self.eyes, self.vocabulary = config, eyes, vocabulary
        self.voice = Remembering(voice, config.voice.remembered)
        self.speller = copy.deepcopy(speller).eval().requires_grad_(False)
        if config.beam.exact:
            self.speller.double()

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, eyes_source: str = "", device: str = "cpu") -> Self:
        """The body that `save_pretrained` wrote to a folder or URI.

        `eyes_source` tells where pretrained eyes lie now, when not where the settings say. Raises RapportError when the folder is absent
        or incomplete, when its weights do not fit, or when the eyes are not those it learned with.
        """
        _, saved, tensors = load_folder(folder, KIND)
        try:
            config = BodyConfig.model_validate(saved["body"])
            vocabulary = Vocabulary(tuple(int(unit) for unit in saved["vocabulary"]))
            seen_with = dict(saved["eyes"])
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(f"{folder}/config.json was written by another version ({saved.get('rapport_version')}): {error}") from error
        eyes = load_eyes(config.eyes, source=eyes_source, device=device)
        if dict(eyes.identity) != seen_with:
            raise ModelError(
                f"{folder} learned with the eyes {seen_with}, these are {dict(eyes.identity)}: name the right ones by eyes_source"
            )
        speller = ImageToUnits(config.image_to_units, eyes.width, vocabulary.size)
        load_strict(speller, _part(tensors, _SPELLER), folder)
        voice = load_voice(config, _part(tensors, _VOICE), source=folder, device=device)
        return cls(config, eyes, speller.to(device), vocabulary, voice)

    def save_pretrained(self, folder: str | Path, *, metrics: Mapping[str, Any] | None = None) -> None:
        """Write the body to a folder or URI; it is complete when `config.json` is there. Pretrained eyes stay where they are."""
        tensors = {f"{_SPELLER}{name}": tensor.float() for name, tensor in self.speller.state_dict().items()}
        tensors |= {f"{_VOICE}{name}": tensor for name, tensor in self.voice.tensors().items()}
        facts = {
            "body": self.config.model_dump(mode="json"),
            "vocabulary": list(self.vocabulary.units),
            "eyes": dict(self.eyes.identity),
            "rate_hz": self.rate_hz,
        }
        save_folder(folder, KIND, facts, tensors, card=self._card(), metrics=metrics)

    @property
    def feature_width(self) -> int:
        """F."""
        return self.eyes.width

    @property
    def sentence_width(self) -> int:
        """Z."""
        return self.speller.config.sentence_width

    @property
    def rate_hz(self) -> int:
        """Of its speech."""
        return self.voice.rate_hz

    def see(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        """Features, float32 [N, F], of pictures, uint8 [H, W, 3]. Raises RapportError for anything else."""
        return self.eyes.see(pictures)

    def say(self, features: npt.NDArray[np.floating], sentences: npt.NDArray[np.floating]) -> list[Floats]:
        """Speech, float32 [S] within -1 to 1, for features [N, F] and sentence embeddings [N, Z]; do not write to it.

        Raises RapportError for actions of another shape, or that are not finite.
        """
        return self.voice.speak(self.units(features, sentences))

    def units(self, features: npt.NDArray[np.floating], sentences: npt.NDArray[np.floating]) -> list[npt.NDArray[np.int32]]:
        """The units [U] that `say` speaks, for the same actions."""
        seen, wanted = self._rows(features, self.feature_width, "features"), self._rows(sentences, self.sentence_width, "sentences")
        if len(seen) != len(wanted):
            raise RapportError(f"there are {len(seen)} features and {len(wanted)} sentences: wanted one of each for every utterance")
        if not len(seen):
            return []
        speller, vocabulary = self.speller, self.vocabulary
        with torch.inference_mode():
            kept = speller.start(speller.memory(seen, wanted))
        found = search(
            speller,
            kept,
            len(seen),
            start=vocabulary.start,
            end=vocabulary.end,
            never=(PAD, vocabulary.unknown, vocabulary.start),
            width=self.config.beam.width,
            max_steps=speller.config.max_units + 1,
            device=seen.device,
        )
        return [vocabulary.units_of(ids) for ids in found]

    def _rows(self, values: npt.NDArray[np.floating], width: int, name: str) -> Tensor:
        """[N, width] where the network is, in its precision."""
        if values.ndim != 2 or values.shape[1] != width:
            raise RapportError(f"{name} are {list(values.shape)}: wanted [N, {width}]")
        if not np.isfinite(values).all():
            raise RapportError(f"{name} hold numbers that are not finite")
        return torch.as_tensor(np.asarray(values)).to(self.speller.feature_mean)

    def _card(self) -> str:
        weights = sum(p.numel() for p in self.speller.parameters())
        return (
            "---\nlibrary_name: rapport\ntags: [speech, image-to-speech, reinforcement-learning]\n---\n# Body of a speaking agent\n\n"
            f"Says what it sees: `{self.config.eyes.kind}` eyes, an image-to-unit model of {weights:,} weights over "
            f"{len(self.vocabulary.units)} units, and the `{self.config.voice.kind}` voice at {self.rate_hz} Hz.\n\n"
            "```python\nfrom rapport.models.spolacq.body import SpolacqBody\n\n"
            'body = SpolacqBody.from_pretrained("<this folder>")\nspeech = body.say(body.see(pictures), sentences)\n```\n'
        )


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
