"""Find the turns in which somebody listens, and make features of the voice and poses of the head on one clock, ready to train on.

    python -m rapport.ray_jobs.build_listener --config embedded
    python -m rapport.ray_jobs.build_listener --root /data/IEMOCAP_full_release --front-end.frame-rate-hz 50
    ray job submit --working-dir . -- python -m rapport.ray_jobs.build_listener --storage s3://bucket/rapport --root s3://bucket/IEMOCAP

Wants the corpus prepared (prepare_corpus) for its speech, and its own folder for the motion. Every utterance that is no turn is named with
its reason in dropped.parquet, and every turn whose motion cannot be used in quarantine.parquet. Kill it and run it again: finished chunks
stay finished. The result lies in <storage>/features/listener/<corpus>/<key>/, with the index of the turns in turns.parquet.
"""

import sys
import time
from functools import partial
from typing import Any

from rapport.core.progress import progress
from rapport.ray_jobs.listener_data.config import BuildListenerConfig
from rapport.ray_jobs.runtime import job, start_ray


def run(config: BuildListenerConfig) -> dict[str, Any]:
    """The folder of features and poses, the counts of turns, and why others were left out."""
    from rapport.datasets.features import assemble, extract_chunks
    from rapport.datasets.listener.build import MotionMaker, motion_facts, plan_motion
    from rapport.datasets.listener.turns import Dropped, TurnIndex, index_turns, write_turns
    from rapport.datasets.prepared import locate_prepared, open_prepared
    from rapport.models.listener.front_end import load_front_end
    from rapport.ray_jobs.listener_data.sources import published_root

    began_s = time.monotonic()
    corpus = open_prepared(locate_prepared(config.storage, config.corpus))
    root = config.root or published_root(corpus)
    index = index_turns(root, config.turns)
    _say(f"{len(index.turns)} turns with a listener in {root}")
    for reason, count in index.reasons.items():
        _say(f"left out: {count} utterances, {reason}")
    front_end = load_front_end(config.front_end)  # here too, so that a wrong setting is known before anything starts
    plan = plan_motion(config.storage, corpus, index.turns, front_end, tolerance_s=config.tolerance_s, chunk_size=config.chunk_size)
    if plan.pending:
        make_front_end = partial(load_front_end, config.front_end)
        make_maker = partial(MotionMaker, make_front_end, index.turns, config.tolerance_s)
        count = sum(len(chunk.ids) for chunk in plan.pending)
        with start_ray(num_cpus=config.actors), progress(f"listening to {corpus.name}", count) as advance:
            for done in extract_chunks(plan, make_maker, actors=config.actors, gpus_per_actor=config.gpus_per_actor):
                advance(done["clips"])
    planned = {name for chunk in plan.chunks for name in chunk.ids}
    turns = [turn for turn in index.turns if turn.turn_id in planned]
    lacking = [turn.turn_id for turn in index.turns if turn.turn_id not in planned]
    unheard = [Dropped(name, "not_prepared", f"{name}: {corpus.path} does not hold it") for name in lacking]
    index = TurnIndex(turns, sorted([*index.dropped, *unheard], key=lambda dropped: dropped.turn_id))
    if unheard:
        _say(f"left out: {len(unheard)} turns, not_prepared")
    write_turns(plan.folder, index)  # before the manifest, which says that the folder is whole
    result = assemble(plan, motion_facts(front_end), max_quarantined_fraction=config.max_quarantined_fraction)
    for reason, count in result["reasons"].items():
        _say(f"left out: {count} turns, {reason}")
    return {
        **result,
        "turns": len(turns),
        "dropped": index.reasons,
        "overlaps": sum(turn.overlaps for turn in index.turns),
        "hours": round(result["frames"] / front_end.frame_rate_hz / 3600, 3),
        "front_end": dict(front_end.identity),
        "chunks_reused": len(plan.chunks) - len(plan.pending),
        "seconds": round(time.monotonic() - began_s, 2),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(BuildListenerConfig, run)
