"""Made conversations of three pairs, prepared, with features and poses, and training settings small enough to learn them in a second."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from rapport.datasets.assemble import assemble as assemble_corpus
from rapport.datasets.features import ChunkWorker, assemble
from rapport.datasets.listener.build import MotionMaker, motion_facts, plan_motion
from rapport.datasets.listener.turns import index_turns, write_turns
from rapport.datasets.prepare import PrepareConfig, plan_corpus
from rapport.datasets.prepared import open_prepared
from rapport.datasets.stages.decode import decode_chunk
from rapport.datasets.synthetic.layouts import iemocap
from rapport.datasets.synthetic.plan import Request
from rapport.datasets.synthetic.studio import Studio
from rapport.models.backends.tts import espeak
from rapport.models.listener.config import FrontEndConfig
from rapport.models.listener.front_end import load_front_end
from rapport.ray_jobs.listener_training.config import TrainListenerConfig

SESSIONS = ("session1", "session2", "session3")


def prepare_conversations(root: Path, utterances: int = 8) -> str:
    """Make and prepare conversations below the storage root `root`; gives the folder of the prepared corpus."""
    raw = root / "raw-iemocap"
    request = Request(2 * len(SESSIONS), utterances, seed=3)
    studio = Studio(espeak.load(), request.seed)
    for item in iemocap.plan(request):
        for path, data in iemocap.render(item, studio).items():
            (raw / path).parent.mkdir(parents=True, exist_ok=True)
            (raw / path).write_bytes(data)
    values = {"corpus": {"name": "iemocap", "root": str(raw)}, "storage": str(root), "split": {"method": "all_train"}}
    plan = plan_corpus(PrepareConfig.model_validate(values))
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, plan.config.limits)
    return str(assemble_corpus(plan)["folder"])


def build_toy(root: Path, utterances: int = 8) -> str:
    """As `prepare_conversations`, with features and poses as build_listener makes them; gives their folder."""
    corpus = open_prepared(prepare_conversations(root, utterances))
    index = index_turns(str(root / "raw-iemocap"))
    front_end = load_front_end(FrontEndConfig())
    plan = plan_motion(str(root), corpus, index.turns, front_end)
    worker = ChunkWorker(corpus.path, plan.folder, partial(MotionMaker, lambda: front_end, index.turns))
    for chunk in plan.pending:
        worker({"index": chunk.index, "key": chunk.key, "ids": json.dumps(chunk.ids)})
    write_turns(plan.folder, index)
    return str(assemble(plan, motion_facts(front_end))["folder"])


def toy_settings(root: Path, **changes: Any) -> TrainListenerConfig:
    """Settings of a short training; blocks given are merged into the defaults."""
    values: dict[str, Any] = {
        "storage": str(root),
        "model": {"network": {"tcn": {"width": 16, "dilations": (1, 2, 4, 8)}}},
        "training": {"epochs": 3, "batch_size": 4, "crop_s": 4, "warmup_s": 1, "optim": {"lr": 0.01}, "ema_decay": 0.8},
        "workers": {"cpus": 1, "use_gpu": "no"},
    }
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(values.get(key), dict) else value
    return TrainListenerConfig.model_validate(values)
