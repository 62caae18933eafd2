"""Made conversations, their features and poses, and random models of their folds, all on disk and without Ray."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rapport.core import storage
from rapport.datasets.assemble import assemble as assemble_corpus
from rapport.datasets.features import ChunkWorker, assemble
from rapport.datasets.listener.build import MotionMaker, motion_facts, open_motion, plan_motion
from rapport.datasets.listener.turns import TurnsConfig, index_turns, write_turns
from rapport.datasets.prepare import PrepareConfig, plan_corpus
from rapport.datasets.prepared import open_prepared
from rapport.datasets.stages.decode import decode_chunk
from rapport.datasets.synthetic.maker import MakeCorpusConfig, make_chunk
from rapport.datasets.synthetic.maker import plan_corpus as plan_made
from rapport.models.backends.tts import espeak
from rapport.models.listener.config import FrontEndConfig, ListenerConfig
from rapport.models.listener.front_end import load_front_end
from rapport.models.listener.model import HeadMotionModel
from rapport.models.listener.pretrained import save_pretrained
from rapport.ray_jobs.listener_training.config import NONE
from rapport.ray_jobs.listener_training.data import describe, divide, usable_turns

TCN = {"kind": "tcn", "tcn": {"width": 8, "dilations": (1, 2)}}


def make_conversations(root: Path, *, speakers: int = 6, utterances: int = 4) -> str:
    """Make and prepare conversations, two speakers a session; the folder of the prepared corpus."""
    config = MakeCorpusConfig(layout="iemocap", speakers=speakers, utterances=utterances, out=str(root / "raw"), storage=str(root))
    made = plan_made(config, espeak.load)
    for first in range(0, len(made.items), 32):
        make_chunk({"first": first, "last": min(first + 32, len(made.items))}, made.folder, "iemocap", made.request, 1.0, espeak.load)
    values = {"corpus": {"name": "iemocap", "root": made.folder}, "storage": str(root), "split": {"method": "all_train"}}
    plan = plan_corpus(PrepareConfig.model_validate(values))
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, plan.config.limits)
    return str(assemble_corpus(plan)["folder"])


def make_features(root: Path, prepared: str, front_end: FrontEndConfig | None = None) -> str:
    """Features and poses of the turns of a prepared corpus; their folder."""
    load = partial(load_front_end, front_end or FrontEndConfig())
    corpus = open_prepared(prepared)
    raw = storage.read_manifest(prepared)["config"]["corpus"]["root"]
    index = index_turns(raw, TurnsConfig(decide_channels=False))
    plan = plan_motion(str(root), corpus, index.turns, load())
    worker = ChunkWorker(prepared, plan.folder, partial(MotionMaker, load, index.turns))
    for chunk in plan.pending:
        worker({"index": chunk.index, "key": chunk.key, "ids": json.dumps(chunk.ids)})
    write_turns(plan.folder, index)
    return str(assemble(plan, motion_facts(load()))["folder"])


def make_model(root: Path, name: str, features: str, *, fold: str = "session1", seed: int = 0, **settings: Any) -> str:
    """A random model that moves visibly, where train_listener leaves it; `fold` none makes the one that is served."""
    torch.manual_seed(seed)
    store = open_motion(features)
    model = HeadMotionModel(ListenerConfig.model_validate({"network": TCN, **settings}), front_end_identity=store.front_end)
    model.spread.fill_(4.0)
    model.noise_correlation.fill_(0.9)
    folder = storage.join(str(root), "models", "listener", name, *([] if fold == NONE else [f"fold-{fold}-seed-{seed}"]))
    save_pretrained(model.eval(), folder, metrics=training_metrics(features, fold, seed))
    return folder


def training_metrics(features: str, fold: str, seed: int) -> dict[str, Any]:
    """What train_listener tells of a model beside it, as far as evaluations read it."""
    store = open_motion(features)
    sides = describe(divide(usable_turns(features, store), fold), store)
    return {"fold": fold, "seed": seed, "data": features, "sides": sides, "epochs": 3, "parameters": 1234}
