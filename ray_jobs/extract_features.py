"""Extract features of prepared corpora: units with residuals, frames of an encoder, eGeMAPS, or log-mel spectra.

    python -m rapport.ray_jobs.extract_features --features units --units.codebook embedded --corpora esd,librispeech
    ray job submit --working-dir . -- python -m rapport.ray_jobs.extract_features --config wavlm-large-l6 --storage s3://bucket/rapport

Every clip is encoded once. Kill it and run it again: finished chunks stay finished, also when only the split of a corpus has changed.
The result lies in <storage>/features/<features>/<corpus>/<key>/.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rapport.core.progress import progress
from rapport.ray_jobs.runtime import job, start_ray
from rapport.ray_jobs.speech_features.config import ExtractFeaturesConfig


def run(config: ExtractFeaturesConfig) -> dict[str, Any]:
    """The folder and counts of each corpus, and how fast it went."""
    from rapport.datasets.features import assemble, extract_chunks, plan_features
    from rapport.datasets.prepared import locate_prepared, open_prepared

    began_s = time.monotonic()
    corpora = [open_prepared(locate_prepared(config.storage, name)) for name in config.corpora]
    identity, facts, make_maker = describe(config)
    plans = [plan_features(config.storage, identity, corpus, chunk_size=config.chunk_size) for corpus in corpora]
    speech_s = 0.0
    pending = sum(len(chunk.ids) for plan in plans for chunk in plan.pending)
    if pending:
        with start_ray(num_cpus=config.actors), progress(f"extracting {config.features}", pending) as advance:
            for plan in plans:
                for done in extract_chunks(plan, make_maker, actors=config.actors, gpus_per_actor=config.gpus_per_actor):
                    speech_s += done["speech_s"]
                    advance(done["clips"])
    results = [assemble(plan, facts, max_quarantined_fraction=config.max_quarantined_fraction) for plan in plans]
    seconds = time.monotonic() - began_s
    return {
        "folders": {result["corpus"]: result["folder"] for result in results},
        "features": config.features,
        "corpora": results,
        "chunks_reused": sum(len(plan.chunks) - len(plan.pending) for plan in plans),
        "seconds": round(seconds, 2),
        "hours_encoded_per_hour": round(speech_s / seconds, 1),
        **({"folder": results[0]["folder"]} if len(results) == 1 else {}),
    }


def describe(config: ExtractFeaturesConfig) -> tuple[dict[str, Any], dict[str, Any], Callable[[], Any]]:
    """What settles the features of a clip, what their readers are told, and what makes them.

    The encoder is loaded here once, so that a wrong setting is known before anything starts.
    """
    from rapport.models.units.front_end import load_encoder, load_front_end
    from rapport.ray_jobs.speech_features.fitting import locate_codebook
    from rapport.ray_jobs.speech_features.makers import make_frames_maker, make_units_maker

    frames, units = config.frames, config.units
    if config.features != "units":
        backend = frames.backend if config.features == "frames" else config.features
        frames = frames.model_copy(update={"backend": backend})
        encoder = load_encoder(frames)
        facts = {"encoder": dict(encoder.provenance), "width": encoder.width, "hop_s": encoder.hop_s, "dtype": config.dtype}
        return {"kind": config.features, **facts}, facts, partial(make_frames_maker, frames, config.dtype)
    folder = locate_codebook(config.storage, units.codebook)
    front_end = load_front_end(folder, sign=units.residual_sign, source=units.encoder_source, device=frames.device)
    facts = {
        "codebook_hash": front_end.codebook.hash,
        "clusters": front_end.codebook.clusters,
        "width": front_end.codebook.width,
        "hop_s": front_end.encoder.hop_s,
        "residual_sign": units.residual_sign if units.residuals else None,
        "residual_dtype": units.residual_dtype if units.residuals else None,
        "residual_source": units.residual_tree or "computed" if units.residuals else None,
    }
    return {"kind": "units", **facts}, facts, partial(make_units_maker, folder, units, frames.device, frames.batch_s)


if __name__ == "__main__":
    job(ExtractFeaturesConfig, run)
