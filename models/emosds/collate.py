"""Examples and their speech to token ids: prefix and target are tokenised apart, so that the boundary between them is exact.

    BOS  instruction  <sosp> units <eosp>  <residual> ... <residual>  |  target  EOS
    ------------------------- labels -100 --------------------------     ids   ids

Prompts are padded on the left, so that all rows of a batch go on from the same column. What is learned from is padded on the right, where
causal attention needs no mask: with one, the fast kernels are out of reach. The model takes either.

Axes: B batch, N tokens with padding, T frames, D residual width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rapport.core.errors import RapportError
from rapport.core.examples import Example
from rapport.core.units import SpeechUnits
from rapport.models.backends.llm.loss import IGNORED
from rapport.models.emosds.config import EmosdsConfig
from rapport.models.emosds.prompts import Rendered, render
from rapport.models.emosds.tokens import Manifest, plain_text_pattern
from rapport.models.units.sequence import unit_sequence

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """One example as ids."""

    prefix: Ids
    """BOS, instruction, units and slots."""
    target: Ids
    """The answer and EOS; empty in a prompt."""
    residuals: npt.NDArray[np.floating]
    """[T, D]; [0, D] where the example has none."""

    def __len__(self) -> int:
        return len(self.prefix) + len(self.target)


class Collator:
    """Makes batches for `SpeechLanguageModel`. It holds no tensors and may be copied to other processes."""

    def __init__(self, tokenizer: Any, manifest: Manifest, config: EmosdsConfig) -> None:
        self.manifest = manifest
        self.config = config
        self._tokenizer = tokenizer
        self._marks = plain_text_pattern(tokenizer, manifest)
        # Instructions come again and again: a hundred, or one.
        self._cached_ids = lru_cache(maxsize=1024)(self._text_ids)

    def __getstate__(self) -> dict[str, Any]:
        return {"tokenizer": self._tokenizer, "manifest": self.manifest, "config": self.config}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]  # the cache of a bound method cannot be copied

    def __call__(self, examples: Sequence[Example], speech: Sequence[SpeechUnits | None]) -> dict[str, Tensor]:
        """A batch to learn from: `input_ids`, `attention_mask`, `labels` int64 [B, N], and where anything of the batch has residuals
        `residuals` [ΣT, D] laid end to end in their own precision and `residual_lengths` int64 [B].
        """
        return self.batch([self.encode(e, s) for e, s in zip(examples, speech, strict=True)])

    def prompts(self, examples: Sequence[Example], speech: Sequence[SpeechUnits | None]) -> dict[str, Tensor]:
        """The same without targets and labels, to be answered."""
        batch = self.batch([self.encode(e, s, answered=False) for e, s in zip(examples, speech, strict=True)], pad="left")
        del batch["labels"]
        return batch

    def encode(self, example: Example, speech: SpeechUnits | None, *, answered: bool = True) -> Encoded:
        """One example as ids.

        Raises RapportError when its speech or part of its answer is missing, when it has more tokens than `max_tokens`, or when a
        unit is not of the codebook.
        """
        text = render(example, self.config, self._marks, answered=answered)
        units, residuals = self._heard(example, speech)
        slots = self.config.injection.slots(len(residuals))
        prefix = np.concatenate([self._head(example, text), units, self._tail(text, example.stage), np.full(slots, self.manifest.residual)])
        target = np.append(self._target(text, example.stage), self.manifest.eos) if answered else np.zeros(0, np.int64)
        if len(prefix) + len(target) > self.config.max_tokens:
            raise RapportError(
                f"example {example.example_id} has {len(prefix) + len(target)} tokens, of which {len(units)} are units and {slots} slots, "
                f"and max_tokens is {self.config.max_tokens}: leave it out or raise max_tokens"
            )
        return Encoded(prefix, target, residuals)

    def lengths(self, examples: Sequence[Example], frames_units: Sequence[tuple[int, int]]) -> npt.NDArray[np.int64]:
        """[B] how many tokens `encode` would give, from T and U of each (`UnitStore.lengths`) without reading its speech."""
        counts = np.zeros(len(examples), np.int64)
        for row, (example, (frames, merged)) in enumerate(zip(examples, frames_units, strict=True)):
            text = render(example, self.config, self._marks)
            units = {"merged": merged, "raw": frames, "downsample": -(-frames // self.config.downsample)}[self.config.unit_mode] + 2
            slots = self.config.injection.slots(frames) if self.config.hears_residuals(example.stage) else 0
            counts[row] = (
                len(self._head(example, text))
                + units * self.config.hears_units
                + len(self._tail(text, example.stage))
                + slots
                + len(self._target(text, example.stage))
                + 1
            )
        return counts

    def batch(self, rows: Sequence[Encoded], pad: Literal["left", "right"] = "right") -> dict[str, Tensor]:
        """The rows as tensors, padded on one side."""
        width = max(map(len, rows))
        ids = np.full((len(rows), width), self.manifest.pad, np.int64)
        labels = np.full((len(rows), width), IGNORED, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for row, encoded in enumerate(rows):
            start = width - len(encoded) if pad == "left" else 0
            answer, end = start + len(encoded.prefix), start + len(encoded)
            ids[row, start:answer], ids[row, answer:end] = encoded.prefix, encoded.target
            labels[row, answer:end] = encoded.target
            mask[row, start:end] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), "labels": torch.from_numpy(labels)}
        lengths = [len(encoded.residuals) for encoded in rows]
        if any(lengths):
            batch["residuals"] = torch.from_numpy(np.concatenate([encoded.residuals for encoded in rows]))
            batch["residual_lengths"] = torch.tensor(lengths)
        return batch

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text: tags and labels are kept, what ends and pads is not."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _heard(self, example: Example, speech: SpeechUnits | None) -> tuple[Ids, npt.NDArray[np.floating]]:
        """The ids of the units with their marks, and the residuals, as far as the model hears them in this stage."""
        config = self.config
        units, residuals = np.zeros(0, np.int64), np.zeros((0, config.residual_width), np.float32)
        if config.inputs == "text":
            return units, residuals
        if speech is None:
            raise RapportError(
                f"example {example.example_id} comes without speech, and inputs is {config.inputs!r}: extract its units first"
            )
        if config.hears_units:
            merged = config.unit_mode == "merged"
            heard = speech.units if merged else unit_sequence(speech.ids, config.unit_mode, config.downsample)[0]
            if len(heard) and not 0 <= heard.min() <= heard.max() < config.clusters:
                raise RapportError(
                    f"example {example.example_id} has unit {heard.max()}, and clusters is {config.clusters}: another codebook"
                )
            start, end = self.manifest.speech
            units = np.concatenate([[start], self.manifest.units[heard], [end]])
        if config.hears_residuals(example.stage):
            if speech.residuals is None:
                raise RapportError(
                    f"example {example.example_id} has no residuals, and inputs is {config.inputs!r}: extract them, or hear units"
                )
            residuals = speech.residuals
            if residuals.shape != (len(speech.ids), config.residual_width):
                wanted = (len(speech.ids), config.residual_width)
                raise RapportError(f"residuals of {example.example_id} have shape {residuals.shape}: wanted {wanted} (residual_width)")
        return units, residuals

    def _head(self, example: Example, text: Rendered) -> Ids:
        begin = [] if self.manifest.bos is None else [self.manifest.bos]
        # With history every text is another one, and in place of speech too.
        ids = self._text_ids if example.stage == 3 or self.config.inputs == "text" else self._cached_ids
        return np.concatenate([np.array(begin, np.int64), ids(text.before)])

    def _tail(self, text: Rendered, stage: int) -> Ids:
        return self._cached_ids(text.after) if stage > 1 else np.zeros(0, np.int64)

    def _target(self, text: Rendered, stage: int) -> Ids:
        """The answer of stage 1 takes the space before it along, since that space belongs to the token of its first word.

        A prefix that ended in the space would make the first word another token than the same word is after a tag.
        """
        return self._text_ids(text.target if stage > 1 else text.after + text.target)

    def _text_ids(self, text: str) -> Ids:
        return np.array(self._tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
