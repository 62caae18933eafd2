"""Answers of a trained speech emotion classifier: for whole clips, and along a recording.

The same steps as in training come first (silence trimmed from both ends), and a window is as long as the training's.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from rapport.core.audio import SAMPLE_RATE_HZ, trim_silence
from rapport.core.errors import RapportError
from rapport.models.ser.classifier import SerOutput, SpeechEmotionClassifier

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The emotion of a clip."""

    emotion: str
    """The most probable one."""
    scores: dict[str, float]
    """Probability of each emotion, in vocabulary order; they sum to 1."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The emotion of one window of a recording."""

    start_s: float
    end_s: float
    emotion: str
    """The most probable one after smoothing."""
    scores: dict[str, float]
    """Smoothed probabilities."""


def pick_device(chosen: str = "auto") -> torch.device:
    """The device called `chosen`; "auto" is a GPU where there is one.

    Raises RapportError when it is not there.
    """
    if chosen == "auto":
        chosen = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:
        raise RapportError(f"device {chosen!r} cannot be used here ({error}): wanted auto, cpu, cuda or mps") from error


def windows(samples: int, window_s: float, hop_s: float) -> list[tuple[int, int]]:
    """(first, end) samples of the windows over a recording; the last one ends where the recording ends, and a short one is one window.

    Raises RapportError unless both lengths are positive.
    """
    if not (window_s > 0 and hop_s > 0):
        raise RapportError(f"window_s is {window_s} and hop_s is {hop_s}: wanted more than 0")
    window, hop = max(1, round(window_s * SAMPLE_RATE_HZ)), max(1, round(hop_s * SAMPLE_RATE_HZ))
    last = max(0, samples - window)
    starts = [*range(0, last, hop), last]
    return [(start, min(start + window, samples)) for start in starts]


class Predictor:
    """A trained classifier on one device. Threads may share it."""

    def __init__(self, model: SpeechEmotionClassifier, *, device: str = "auto", batch_s: float = 240.0) -> None:
        """`batch_s` bounds the padded speech in one batch, in seconds, and so the memory."""
        self.device = pick_device(device)
        self.batch_s = batch_s
        self._model = model.to(self.device).eval()
        if self.device.type == "cuda":
            # TF32 rounds differently for another batch shape, by more than the 1e-4 that batch mates may matter.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, device: str = "auto", batch_s: float = 240.0) -> "Predictor":
        """The predictor of a saved model (a folder, or a URI of the storage)."""
        return cls(SpeechEmotionClassifier.from_pretrained(folder), device=device, batch_s=batch_s)

    @property
    def emotions(self) -> tuple[str, ...]:
        """What it tells apart, in vocabulary order."""
        return self._model.emotions

    @property
    def window_s(self) -> float:
        """Length of the windows that it was trained on."""
        return self._model.config.decoding.window_s

    def predict(self, waveforms: Sequence[FloatArray]) -> list[Prediction]:
        """The emotion of each clip [S], 16 kHz mono, by its index; batched by length.

        A clip longer than the model's `max_clip_s` gets the mean of its windows. Raises RapportError for an empty clip or one that is
        not finite.
        """
        return [self._prediction(row) for row in self.probabilities(waveforms)]

    def probabilities(self, waveforms: Sequence[FloatArray]) -> npt.NDArray[np.float64]:
        """[N, E] the scores of `predict` as an array."""
        decoding = self._model.config.decoding
        pieces: list[FloatArray] = []
        owner: list[int] = []
        for index, waveform in enumerate(waveforms):
            clip = self._ready(waveform, index)
            whole = len(clip) <= decoding.max_clip_s * SAMPLE_RATE_HZ
            spans = [(0, len(clip))] if whole else windows(len(clip), decoding.window_s, decoding.window_s / 2)
            pieces += [clip[first:end] for first, end in spans]
            owner += [index] * len(spans)
        summed = np.zeros((len(waveforms), len(self.emotions)))
        np.add.at(summed, owner, self._scores(pieces))
        return summed / summed.sum(1, keepdims=True)

    def timeline(
        self, waveform: FloatArray, *, window_s: float | None = None, hop_s: float | None = None, smoothing_s: float = 1.0
    ) -> list[Moment]:
        """The emotion along a recording [S], 16 kHz mono: one moment per window, in order.

        Windows are as long as the training's unless given and begin every quarter of that unless given. Probabilities are smoothed
        with the time constant `smoothing_s`, looking back only, as a live display does; 0 leaves them.
        """
        window_s = self.window_s if window_s is None else window_s
        hop_s = window_s / 4 if hop_s is None else hop_s
        samples = self._checked(waveform, 0)
        spans = windows(len(samples), window_s, hop_s)
        scores = self.probabilities([samples[first:end] for first, end in spans])
        keep = math.exp(-hop_s / smoothing_s) if smoothing_s > 0 else 0.0
        for now in range(1, len(scores)):
            scores[now] = keep * scores[now - 1] + (1 - keep) * scores[now]
        answers = [self._prediction(row) for row in scores]
        times = [(first / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ) for first, end in spans]
        return [Moment(start, end, it.emotion, it.scores) for (start, end), it in zip(times, answers, strict=True)]

    def embed(self, waveforms: Sequence[FloatArray]) -> FloatArray:
        """[N, H] the latent vector of each whole clip, from the head's hidden layer."""
        clips = [self._ready(waveform, index) for index, waveform in enumerate(waveforms)]
        found: list[FloatArray] = [np.empty(0, np.float32)] * len(clips)
        for indices, output in self._run(clips, warp=1.0):
            for index, vector in zip(indices, output.latent.float().cpu().numpy(), strict=True):
                found[index] = vector
        return np.stack(found)

    def _prediction(self, row: npt.NDArray[np.float64]) -> Prediction:
        scores = {emotion: float(score) for emotion, score in zip(self.emotions, row, strict=True)}
        return Prediction(max(scores, key=scores.__getitem__), scores)

    def _checked(self, waveform: FloatArray, index: int) -> FloatArray:
        samples = np.asarray(waveform, dtype=np.float32)
        if samples.ndim != 1 or not samples.size:
            raise RapportError(f"clip {index} has shape {samples.shape}: wanted samples [S] of 16 kHz mono speech, at least one")
        if not np.isfinite(samples).all():
            raise RapportError(f"clip {index} holds NaN or infinite samples: wanted finite ones")
        return samples

    def _ready(self, waveform: FloatArray, index: int) -> FloatArray:
        samples = self._checked(waveform, index)
        return trim_silence(samples) if self._model.config.decoding.trim_silence else samples

    def _scores(self, clips: list[FloatArray]) -> npt.NDArray[np.float64]:
        decoding = self._model.config.decoding
        warps = decoding.warps if self._model.config.encoder.embedded else (1.0,)
        log_p = torch.zeros(len(clips), len(self.emotions), dtype=torch.float64)
        for warp in warps:
            for indices, output in self._run(clips, warp):
                log_p[indices] += output.logits.double().log_softmax(1).cpu() / len(warps)
        return (log_p / decoding.temperature).softmax(1).numpy()

    def _run(self, clips: list[FloatArray], warp: float) -> Iterator[tuple[list[int], SerOutput]]:
        """The model's output for batches of clips of like length, with the clips' indices."""
        with torch.inference_mode():
            for indices in _length_batches([len(clip) for clip in clips], self.batch_s * SAMPLE_RATE_HZ):
                lengths = torch.tensor([len(clips[i]) for i in indices])
                padded = torch.zeros(len(indices), int(lengths.max()))
                for row, i in enumerate(indices):
                    padded[row, : lengths[row]] = torch.from_numpy(clips[i])
                yield indices, self._model(padded.to(self.device), lengths.to(self.device), warp=warp)


def _length_batches(lengths: Sequence[int], samples: float) -> Iterator[list[int]]:
    """Indices of clips sorted by length, in groups of at most `samples` with padding; a longer clip is a group of its own."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[index] * (len(group) + 1) > samples:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
