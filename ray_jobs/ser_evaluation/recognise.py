"""Scores and embeddings of many clips: Ray Data, with the model on a pool of actors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core.progress import progress
from rapport.datasets.prepared import PreparedCorpus, load_noise
from rapport.datasets.stages.augment import stretch_of
from rapport.datasets.stages.effects import mix_at_snr
from rapport.ray_jobs.ser_evaluation.config import EvaluateSerConfig
from rapport.ray_jobs.ser_evaluation.subject import Subject

CLEAN = float("nan")
"""The signal-to-noise ratio of a clip without noise; NaN is what an Arrow column of floats can carry."""
_SPEECH_PER_ACTOR_S = 600.0


@dataclass(frozen=True, eq=False)
class Recognised:
    """What the model says of N clips under one condition, in the order of the subject's rows."""

    scores: npt.NDArray[np.float64]
    """[N, E] probabilities."""
    embeddings: npt.NDArray[np.float32] | None
    """[N, H]; None in noise, or when none were asked for."""


class Recogniser:
    """A model on one actor. A batch holds `row` (index), `utterance_id` and `snr_db`; it comes back with `scores`, and `embedding`."""

    def __init__(self, model: str, speech: PreparedCorpus, noise: PreparedCorpus | None, seed: int, device: str, embed: bool):
        from rapport.models.ser.inference import Predictor

        self.predictor = Predictor.from_pretrained(model, device=device)
        self.speech, self.seed, self.embed = speech, seed, embed
        self.noises = load_noise(noise) if noise is not None else None

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        clips = [self._clip(str(name), float(snr)) for name, snr in zip(batch["utterance_id"], batch["snr_db"], strict=True)]
        found: dict[str, npt.NDArray[Any]] = {
            "row": batch["row"],
            "snr_db": batch["snr_db"],
            "scores": self.predictor.probabilities(clips),
        }
        if self.embed:
            found["embedding"] = self.predictor.embed(clips)
        return found

    def _clip(self, name: str, snr_db: float) -> npt.NDArray[np.float32]:
        samples = self.speech.waveform(name)
        if np.isnan(snr_db) or self.noises is None:
            return samples
        return noisy(samples, self.noises, snr_db, name, self.seed)


def noisy(
    samples: npt.NDArray[np.float32], noises: Sequence[npt.NDArray[np.float32]], snr_db: float, name: str, seed: int
) -> npt.NDArray[np.float32]:
    """The clip with noise under it: the same stretch of the same recording for the same clip, whatever the ratio."""
    from rapport.training.sampler import derive_seed

    random = np.random.default_rng(derive_seed(seed, "noise", name))
    return mix_at_snr(samples, stretch_of(noises[int(random.integers(len(noises)))], len(samples), random), snr_db)


def recognise(subject: Subject, config: EvaluateSerConfig, noise: PreparedCorpus | None = None) -> dict[float | None, Recognised]:
    """What the model says of every clip: key None without noise, and one key for each signal-to-noise ratio. Ray must be initialised."""
    conditions = [CLEAN, *(config.snr_db if noise is not None else ())]
    clean = _pass(subject, config, noise, conditions[:1], embed=bool(config.embeddings.maps))
    return clean | (_pass(subject, config, noise, conditions[1:], embed=False) if len(conditions) > 1 else {})


def _pass(
    subject: Subject, config: EvaluateSerConfig, noise: PreparedCorpus | None, conditions: Sequence[float], *, embed: bool
) -> dict[float | None, Recognised]:
    import ray
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    ids = [row.utterance_id for row in subject.rows]
    items = [{"row": i, "utterance_id": name, "snr_db": snr_db} for snr_db in conditions for i, name in enumerate(ids)]
    gpus = config.gpus_per_actor if config.gpus_per_actor is not None else float(ray.cluster_resources().get("GPU", 0) >= 1)
    speech_s = sum(row.duration_s or 0.0 for row in subject.rows) * len(conditions)
    actors = config.actors or _actors(ray.cluster_resources(), gpus, speech_s)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    with DataContext.current(context):
        batches = -(-len(items) // config.batch_size)
        dataset = ray.data.from_items(items, override_num_blocks=min(batches, 200)).map_batches(
            Recogniser,
            fn_constructor_kwargs={
                "model": subject.model,
                "speech": subject.speech,
                "noise": noise,
                "seed": config.seed,
                "device": "cuda" if gpus else "cpu",
                "embed": embed,
            },
            batch_size=config.batch_size,
            batch_format="numpy",
            compute=ActorPoolStrategy(size=actors),
            num_gpus=gpus or None,
            num_cpus=None if gpus else 1,
        )
    parts = []
    title = "recognising clips" if embed or len(conditions) == 1 else "recognising clips in noise"
    with progress(title, len(items)) as advance:
        for batch in dataset.iter_batches(batch_size=None, batch_format="numpy"):
            parts.append({name: np.asarray(column) for name, column in batch.items()})
            advance(len(parts[-1]["row"]))
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {None if np.isnan(snr_db) else snr_db: _ordered(table, snr_db) for snr_db in conditions}


def _ordered(table: dict[str, npt.NDArray[Any]], snr_db: float) -> Recognised:
    mine = np.flatnonzero(np.isnan(table["snr_db"]) if np.isnan(snr_db) else table["snr_db"] == snr_db)
    mine = mine[np.argsort(table["row"][mine])]
    embeddings = table["embedding"][mine].astype(np.float32) if "embedding" in table else None
    return Recognised(table["scores"][mine].astype(np.float64), embeddings)


def _actors(resources: dict[str, float], gpus: float, speech_s: float) -> int:
    """As many as the cluster holds, but no more than there is work for: starting one takes seconds."""
    most = resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 1)
    return max(1, min(int(most), -(-int(speech_s) // int(_SPEECH_PER_ACTOR_S))))
