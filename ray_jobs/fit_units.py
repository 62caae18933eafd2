"""Fit a codebook of speech units: k-means over the frames of prepared corpora, or the centroids of a published one.

    python -m rapport.ray_jobs.fit_units --config embedded --corpora esd,librispeech
    ray job submit --working-dir . -- python -m rapport.ray_jobs.fit_units --config wavlm-large-l6 --storage s3://bucket/rapport
    python -m rapport.ray_jobs.fit_units --config wavlm-large-l6 --published LibriSpeech100-360-500_wavlm_k1000_L6.pt

Only training sides are fitted unless told. Kill it and run it again: frames that are made and passes that are done stay so. The codebook
lies in <storage>/features/units/<name>/, centroids as safetensors, with a hash that every use checks.
"""

import sys
import time
from functools import partial
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.core.progress import progress
from rapport.ray_jobs.runtime import job, start_ray
from rapport.ray_jobs.speech_features.config import FitUnitsConfig


def run(config: FitUnitsConfig) -> dict[str, Any]:
    """The folder and hash of the codebook, and how well it fits."""
    from rapport.models.units.front_end import describe_encoder, load_encoder
    from rapport.ray_jobs.speech_features.fitting import codebook_folder

    began_s = time.monotonic()
    folder = codebook_folder(config.storage, config.name)
    encoder = load_encoder(config.frames)
    about = describe_encoder(encoder, config.frames)
    result = _take_published(config, folder, about, encoder.width) if config.published else _fit(config, folder, about)
    return {**result, "seconds": round(time.monotonic() - began_s, 2)}


def _take_published(config: FitUnitsConfig, folder: str, about: dict[str, Any], width: int) -> dict[str, Any]:
    from rapport.models.units.codebook import Codebook
    from rapport.models.units.published import read_published

    centroids, origin = read_published(config.published)
    if centroids.shape[1] != width:
        raise RapportError(f"{config.published} has centroids of width {centroids.shape[1]}: the encoder's frames have {width} (frames)")
    key = storage.content_key({"encoder": about["encoder"], "origin": origin})
    if finished := _finished(folder, key):
        return finished
    Codebook(centroids, {**about, "fit": {"key": key, "figures": {}, **origin}}).save(folder)
    return _finished(folder, key) or {}


def _fit(config: FitUnitsConfig, folder: str, about: dict[str, Any]) -> dict[str, Any]:
    from rapport.datasets.features import assemble, extract_chunks, plan_features
    from rapport.datasets.prepared import locate_prepared, open_prepared
    from rapport.models.units.codebook import Codebook
    from rapport.models.units.kmeans import perplexity
    from rapport.ray_jobs.speech_features.fitting import draw_speech, fit_centroids, forget_state
    from rapport.ray_jobs.speech_features.makers import make_frames_maker

    corpora = [open_prepared(locate_prepared(config.storage, name)) for name in config.corpora]
    drawn = draw_speech(corpora, config.sides, config.kmeans.max_speech_s, config.seed)
    identity = {"kind": "frames", "encoder": about["encoder"], "dtype": "float32"}
    work = storage.join(folder, "work")
    pairs = [(corpus, ids) for corpus, ids in zip(corpora, drawn, strict=True) if ids]
    plans = [plan_features(work, identity, corpus, ids=ids, chunk_size=config.chunk_size) for corpus, ids in pairs]
    keys = [chunk.key for plan in plans for chunk in plan.chunks]
    key = storage.content_key({"kmeans": config.kmeans.model_dump(mode="json"), "seed": config.seed, "frames": keys, **about["encoder"]})
    if finished := _finished(folder, key):
        return finished
    make_maker = partial(make_frames_maker, config.frames, "float32")
    with start_ray(num_cpus=config.actors):
        pending = sum(len(chunk.ids) for plan in plans for chunk in plan.pending)
        with progress("encoding speech", pending) as advance:
            for plan in plans:
                for done in extract_chunks(plan, make_maker, actors=config.actors, gpus_per_actor=config.gpus_per_actor):
                    advance(done["clips"])
        frames = sum(assemble(plan, {"dtype": "float32"})["frames"] for plan in plans)
        fit = fit_centroids(plans, config.kmeans, config.seed, folder, key, partial(print, file=sys.stderr, flush=True))
    figures = {
        "frames": frames,
        "passes": len(fit.history) - 1,
        "mean_distance": fit.found.mean_distance,
        "perplexity": perplexity(fit.found.counts.tolist()),
        "empty_clusters": int((fit.found.counts == 0).sum()),
    }
    origin = {"corpora": [plan.corpus.path for plan in plans], "sides": list(config.sides), "seed": config.seed, "history": fit.history}
    Codebook(fit.centroids, {**about, "fit": {"key": key, "figures": figures, **origin}}).save(folder)
    forget_state(folder)
    storage.remove(work)
    return _finished(folder, key) or {}


def _finished(folder: str, key: str) -> dict[str, Any] | None:
    """The result of the fit that `key` stands for, or None when the folder holds no codebook.

    Raises RapportError when it holds another: units that were made with it would have lost their codebook.
    """
    from rapport.models.units.codebook import METADATA, load_codebook

    if not storage.exists(storage.join(folder, METADATA)):
        return None
    codebook = load_codebook(folder)
    fit = codebook.metadata.get("fit", {})
    if fit.get("key") != key:
        raise RapportError(f"{folder} holds codebook {codebook.hash[:12]}, fitted otherwise: choose another --name, or remove that folder")
    facts = {"folder": folder, "hash": codebook.hash, "clusters": codebook.clusters, "width": codebook.width}
    return {**facts, **fit["figures"]}


if __name__ == "__main__":
    job(FitUnitsConfig, run)
