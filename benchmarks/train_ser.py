"""What a training step costs under Ray Train beside a bare torch loop: the same model, clips, order and arithmetic.

    python benchmarks/train_ser.py
    python benchmarks/train_ser.py --config hubert-base-frozen --clips 64 --rounds 5 --json train_ser.json

The bare loop is what one writes by hand for one process: forward, cross-entropy, backward, clip, AdamW, one-cycle rate, nothing recorded.
Ours is the whole job, with its reports to Ray, curves and progress; mixup and averaged weights are switched off, because the bare loop has
none. Each contender runs in processes of its own; they take turns, the first epoch of a turn warms up and is not counted.
The goal is a ratio of at most 1.05.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from rapport.core import storage
from rapport.core.config import find_preset, read_config, with_values
from rapport.ray_jobs.runtime import start_ray
from rapport.ray_jobs.ser_training.config import TrainSerConfig, resolved

RATE_HZ = 16_000


def main() -> None:
    options = _options()
    seconds: dict[str, list[float]] = {"bare torch": [], "ray train": []}
    with tempfile.TemporaryDirectory(prefix="train-bench-", dir=options.scratch) as scratch:
        _prepare(Path(scratch), options.clips, options.seconds)
        with start_ray(num_cpus=options.threads):
            for turn in range(options.rounds):
                config = _config(options, scratch, f"turn-{turn}")
                contenders = [("bare torch", _bare), ("ray train", _ray)]
                for name, contender in contenders if turn % 2 == 0 else contenders[::-1]:
                    seconds[name] += contender(config, options.threads)
                print(
                    f"turn {turn + 1}/{options.rounds}: "
                    + ", ".join(f"{name} {1000 * statistics.median(times):.1f} ms a step" for name, times in seconds.items()),
                    file=sys.stderr,
                    flush=True,
                )
    steps = max(1, options.clips // config.training.batch_size)
    results = {name: {"step_s": statistics.median(times), "epochs": len(times), "all_s": times} for name, times in seconds.items()}
    ratio = statistics.median(seconds["ray train"]) / statistics.median(seconds["bare torch"])
    for name, times in seconds.items():
        low, high = np.quantile(times, [0.25, 0.75])
        print(
            f"{name:12} {1000 * statistics.median(times):8.1f} ms a step (quartiles {1000 * low:.1f} to {1000 * high:.1f}, "
            f"{len(times)} epochs of {steps} steps)"
        )
    print(f"ratio        {ratio:8.3f}")
    if options.json:
        Path(options.json).write_text(json.dumps({**results, "ratio": ratio}, indent=2) + "\n", encoding="utf-8")


def _config(options: argparse.Namespace, scratch: str, name: str) -> TrainSerConfig:
    values: dict[str, Any] = {
        "storage": scratch,
        "name": name,
        "corpora": ["ravdess"],
        "training.epochs": options.epochs,
        "training.mixup": 0,
        "training.ema_decay": 0,
        "training.loss.class_weight_power": 0,
        "training.schedule.name": "onecycle",
        "training.schedule.warmup": 0,
        "training.selection": "last",
        "training.patience": 0,
        "training.accumulate": 1,
        # A checkpoint is asked for by the user, and its cost is its size: none but the last is written here.
        "training.save_every_epochs": options.epochs,
        "workers.cpus": options.threads,
        "workers.use_gpu": "auto",
    }
    return resolved(with_values(read_config(TrainSerConfig, find_preset(options.config, "train_ser")), values))


def _ray(config: TrainSerConfig, threads: int) -> list[float]:
    """Seconds a step of each epoch but the first."""
    from rapport.ray_jobs.train_ser import train

    result = train(config, quiet=True)
    lines = storage.read_bytes(storage.join(result["folder"], "metrics.jsonl")).splitlines()
    records = [json.loads(line) for line in lines]
    steps = records[0]["step"]
    return [(after["seconds"] - before["seconds"]) / steps for before, after in pairwise(records)]


def _bare(config: TrainSerConfig, threads: int) -> list[float]:
    """Seconds a step of each epoch but the first."""
    # A fresh interpreter, as a worker of Ray's is.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_bare_loop, config, threads).result()


def _bare_loop(config: TrainSerConfig, threads: int) -> list[float]:
    import torch

    from rapport.ray_jobs.ser_training.data import build_data, find_sources
    from rapport.ray_jobs.ser_training.worker import build_model
    from rapport.training.sampler import BatchSampler

    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings = config.training
    data = build_data(config, find_sources(config))
    model = build_model(config, data, fit=True).to(device).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, settings.optim.lr, settings.optim.betas, weight_decay=settings.optim.weight_decay, fused=True)
    sampler = BatchSampler(data.train.durations_s, batch_size=settings.batch_size, seed=config.seed, bucket_batches=settings.bucket_batches)
    steps = len(sampler)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.optim.lr, total_steps=settings.epochs * steps, pct_start=0.2)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=settings.loss.label_smoothing)
    pretrained = not config.model.encoder.embedded
    times = []
    for epoch in range(settings.epochs):
        began_s = time.perf_counter()
        for indices in sampler.epoch(epoch):
            waveforms, lengths, targets, _ = data.train.batch(indices).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=pretrained and settings.precision != "fp32"):
                logits = model(waveforms, lengths).logits
            loss = loss_of(logits.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, settings.optim.clip_norm)
            optimizer.step()
            rates.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - began_s) / steps)
    return times[1:]


def _prepare(scratch: Path, clips: int, seconds: float) -> None:
    """A prepared corpus of swelling noise in RAVDESS' layout, for training only."""
    from rapport.datasets.assemble import assemble
    from rapport.datasets.prepare import PrepareConfig, plan_corpus
    from rapport.datasets.stages.decode import decode_chunk

    for index in range(clips):
        actor, rest = divmod(index, 32)
        emotion, take = divmod(rest, 4)
        random = np.random.default_rng(index)
        times_s = np.arange(int(RATE_HZ * seconds * random.uniform(0.8, 1.2))) / RATE_HZ
        wave = 0.2 * np.abs(np.sin(np.pi * times_s)) * random.standard_normal(len(times_s))
        name = f"03-01-{emotion + 1:02d}-01-{take // 2 + 1:02d}-{take % 2 + 1:02d}-{actor + 1:02d}.wav"
        path = scratch / "raw" / f"Actor_{actor + 1:02d}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave.astype(np.float32), RATE_HZ)
    corpus = {"name": "ravdess", "root": str(scratch / "raw")}
    plan = plan_corpus(PrepareConfig.model_validate({"corpus": corpus, "storage": str(scratch), "split": {"method": "all_train"}}))
    for chunk in plan.pending:
        decode_chunk({"chunk": chunk.to_json()}, plan.folder, plan.config.limits)
    assemble(plan)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="embedded", help="preset or file of train_ser")
    parser.add_argument("--clips", type=int, default=320, help="training clips")
    parser.add_argument("--seconds", type=float, default=3.0, help="mean length of a clip")
    parser.add_argument("--epochs", type=int, default=4, help="epochs in a turn; the first is not counted")
    parser.add_argument("--rounds", type=int, default=4, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="processors of each contender")
    parser.add_argument("--scratch", help="folder for temporary files")
    parser.add_argument("--json", help="write the results there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
