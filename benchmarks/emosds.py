"""What the speech language model costs: batches under a budget of tokens, Ray Train, ragged residuals, answers in batches.

    python benchmarks/emosds.py
    python benchmarks/emosds.py --part decoding --model ~/rapport/models/emosds/NAME-stage-2 --json emosds.json

Four parts, each beside its peer; contenders take turns, figures are medians over turns. Speech is made up: units in runs, residuals of
noise, and lengths as turns of conversation have them, log-normal with a median of 2.46 s, at most 16 s (utterances of MELD, train side).

    batching   tokens a second that are not padding, while training: our batches, beside shuffled batches of equally many rows, padded to
               their longest; with as many rows on average as ours, and with as many as fit into the budget whatever is drawn. Goal: 2
    step       a training step of train_emosds under Ray Train, beside a bare torch loop on the same batches. Goal: at most 1.05
    storage    residuals of the published width on disk, ragged beside padded to the longest, with the lengths of ESD
    decoding   tokens written a second, eight answers at a time beside one at a time. Goal: 3. And answers a second, prompts read too, which
               no batch makes cheaper; beside transformers.generate as well
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from rapport.core import storage
from rapport.core.config import find_preset, read_config, with_values
from rapport.core.examples import Example, Stage
from rapport.core.units import SpeechUnits
from rapport.ray_jobs.emosds_training.config import StageRunConfig, TrainEmosdsConfig, resolved, stage_run

STAGE: Stage = 2
LONGEST_S, MEDIAN_S, SPREAD = 16.0, 2.46, 0.71
WORDS = ["the", "a", "we", "they", "lamp", "hall", "bus", "train", "parcel", "morning", "night", "window", "river", "paper"]
Figures = dict[str, Any]


def main() -> None:
    options = _options()
    parts = {"batching": batching, "step": step, "storage": on_disk, "decoding": decoding}
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="emosds-bench-", dir=options.scratch) as scratch:
        for name in [options.part] if options.part != "all" else parts:
            began_s = time.perf_counter()
            results[name] = parts[name](options, Path(scratch))
            print(f"{name}: {time.perf_counter() - began_s:.0f} s", file=sys.stderr, flush=True)
    for name, found in results.items():
        print(name)
        for line in found["told"]:
            print(f"  {line}")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def batching(options: argparse.Namespace, scratch: Path) -> Figures:
    """Real tokens a second of the same loop, model and examples in batches made in three ways."""
    from rapport.ray_jobs.emosds_training.data import language_data, read_stage
    from rapport.ray_jobs.emosds_training.sources import find_sources
    from rapport.ray_jobs.emosds_training.worker import start_model
    from rapport.training.sft import train_language_model
    from rapport.training.token_batches import TokenBatches, padded_tokens

    _set_threads(options.threads)
    run = _stage_run(options, _write(options, scratch / "batching", options.clips))
    sources = find_sources(_config(options, scratch / "batching"), STAGE)
    train, validation = read_stage(run, sources, start_model(run, sources)[0].collator())
    budget = run.training.batch_tokens
    ours = TokenBatches(train.lengths, batch_tokens=budget).epoch(0)
    rows = {
        "ours": {},
        "as many rows": {"batch_rows": max(1, round(len(train.lengths) / len(ours)))},
        "rows that always fit": {"batch_rows": max(1, budget // int(train.lengths.max()))},
    }
    contenders = {
        # Every draw fits: the rows alone limit a batch.
        name: run.training.model_copy(update={**limit, "pool_batches": 1, "batch_tokens": len(train.lengths) * 4096} if limit else {})
        for name, limit in rows.items()
    }

    def pace(name: str) -> float:
        model = start_model(run, sources)[0]
        return train_language_model(model, language_data(train, validation), contenders[name]).history[-1]["tokens_per_s"]

    found = _in_turns({name: partial(pace, name) for name in contenders}, options.rounds, "tokens a second")
    told = []
    for name, training in contenders.items():
        batches = TokenBatches(
            train.lengths, batch_tokens=training.batch_tokens, batch_rows=training.batch_rows, pool_batches=training.pool_batches
        ).epoch(0)
        padded = sum(padded_tokens(train.lengths, batch) for step in batches for batch in step)
        share, most = 1 - train.lengths.sum() / padded, max(padded_tokens(train.lengths, batch) for step in batches for batch in step)
        told.append(
            f"{name:22} {_spread(found[name], '{:8.0f}')} tokens a second, {len(batches):4} steps, {100 * share:.1f} % padding, "
            f"at most {most} tokens in a batch"
        )
    ratios = {name: _ratio(found["ours"], found[name]) for name in list(contenders)[1:]}
    told += [f"ours beside {name}: {ratio:.2f} x" for name, ratio in ratios.items()]
    return {"told": told, "tokens_per_s": found, "ratio": ratios}


def step(options: argparse.Namespace, scratch: Path) -> Figures:
    """Seconds a step of the whole job, reports and curves included, and of the loop one writes by hand for one process."""
    from rapport.ray_jobs.runtime import start_ray

    root = _write(options, scratch / "step", options.clips)
    names = iter(range(1000))

    def bare() -> list[float]:
        # A fresh interpreter, as a worker of Ray's is.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_bare_loop, _stage_run(options, root), _config(options, root), options.threads).result()

    def ray() -> list[float]:
        from rapport.ray_jobs.train_emosds import train

        result = train(with_values(_config(options, root), {"name": f"turn-{next(names)}"}), quiet=True)
        lines = storage.read_bytes(storage.join(result["stages"][str(STAGE)]["folder"], "metrics.jsonl")).splitlines()
        return [(b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in pairwise(map(json.loads, lines))]

    with start_ray(num_cpus=options.threads):
        found = _in_turns({"bare torch": bare, "ray train": ray}, options.rounds, "s a step")
    ratio = _ratio(found["ray train"], found["bare torch"])
    told = [f"{name:12} {_spread([1000 * s for s in seconds], '{:8.1f}')} ms a step" for name, seconds in found.items()]
    return {"told": [*told, f"ray train beside bare torch: {ratio:.3f} x the time"], "step_s": found, "ratio": ratio}


def _bare_loop(run: StageRunConfig, config: TrainEmosdsConfig, threads: int) -> list[float]:
    """Seconds a step of each epoch but the first."""
    import torch

    from rapport.ray_jobs.emosds_training.data import read_stage
    from rapport.ray_jobs.emosds_training.sources import find_sources
    from rapport.ray_jobs.emosds_training.worker import start_model
    from rapport.training.numerics import fast_bf16
    from rapport.training.token_batches import TokenBatches

    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settings, optim = run.training, run.training.optim
    sources = find_sources(config, STAGE)
    model = start_model(run, sources)[0].to(device).train()
    data, _ = read_stage(run, sources, model.collator())
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": optim.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, optim.lr, optim.betas, optim.eps, fused=True)
    batches = TokenBatches(data.lengths, batch_tokens=settings.batch_tokens, pool_batches=settings.pool_batches, seed=run.seed)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, batches.total_steps(settings.epochs))
    times = []
    for epoch in range(settings.epochs):
        began_s = time.perf_counter()
        steps = batches.epoch(epoch)
        for (indices,) in steps:
            batch = {name: tensor.to(device) for name, tensor in data.batch(indices).items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=fast_bf16(device.type == "cuda")):
                output = model(**batch)
            optimizer.zero_grad(set_to_none=True)
            (output.loss_sum / output.token_count).backward()
            torch.nn.utils.clip_grad_norm_(parameters, optim.clip_norm)
            optimizer.step()
            rates.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - began_s) / len(steps))
    return times[1:]


def on_disk(options: argparse.Namespace, scratch: Path) -> Figures:
    """Bytes of residuals as our shards hold them, and as rows padded to the longest of the corpus."""
    from safetensors.numpy import save_file

    from rapport.datasets.ragged import write_ragged

    random = np.random.default_rng(0)
    clips, width, longest = options.stored, 1024, 335
    # English ESD: 136 frames on average, none above 335.
    lengths = np.clip(136 * np.exp(0.28 * random.standard_normal(clips) - 0.04), 40, longest).astype(int)
    found: dict[str, int] = {}
    residuals = [random.standard_normal((frames, width), dtype=np.float32) for frames in lengths]
    padded = np.zeros((clips, longest, width), np.float32)
    for row, values in zip(padded, residuals, strict=True):
        row[: len(values)] = values
    save_file({"residuals": padded}, scratch / "padded.safetensors")
    found["padded float32"] = (scratch / "padded.safetensors").stat().st_size
    for dtype in ("float32", "float16"):
        write_ragged(scratch / dtype, [{"residuals": values.astype(dtype)} for values in residuals])
        found[f"ragged {dtype}"] = (scratch / dtype).stat().st_size
    esd = 17_500
    told = [
        f"{name:16} {size / clips / 2**20:.3f} MiB a clip, {size / clips * esd / 1e9:5.1f} GB for the {esd} clips of English ESD, "
        f"{size / found['padded float32']:.3f} of padded"
        for name, size in found.items()
    ]
    told.append(f"{clips} clips written, {lengths.mean():.0f} frames of {width} numbers on average, padded to {longest}")
    ratios = {name: found["padded float32"] / size for name, size in found.items()}
    return {"told": told, "bytes": found, "clips": clips, "mean_frames": float(lengths.mean()), "ratio": ratios}


def decoding(options: argparse.Namespace, scratch: Path) -> Figures:
    """Answers a second, and whether they are the same."""
    import torch

    from rapport.models.emosds.config import GenerationConfig
    from rapport.models.emosds.generation import Generator
    from rapport.models.emosds.pretrained import from_pretrained

    _set_threads(options.threads)
    model = from_pretrained(options.model) if options.model else _random_model(_config(options, scratch))
    generator = Generator(model, GenerationConfig(max_new_tokens=options.tokens))
    settings = model.settings
    heard = [_clip(index, settings.clusters, settings.residual_width) for index in range(options.answers)]
    # Of like length together, as evaluation and serving put them.
    heard.sort(key=lambda pair: len(pair[1].ids))
    collator, device = model.collator(), model.device

    def in_parts(size: int) -> list[tuple[list[Example], list[SpeechUnits | None]]]:
        parts = [heard[start : start + size] for start in range(0, len(heard), size)]
        return [([example for example, _ in part], [speech for _, speech in part]) for part in parts]

    def ours(size: int) -> list[tuple[int, ...]]:
        return [answer.ids for part in in_parts(size) for answer in generator.generate(*part)]

    @torch.inference_mode()
    def theirs() -> list[tuple[int, ...]]:
        answers = []
        for example, speech in heard:
            batch = {name: tensor.to(device) for name, tensor in collator.prompts([example], [speech]).items()}
            mask = batch.pop("attention_mask")
            ids = model.base.generate(
                inputs_embeds=model.embed(**batch),
                attention_mask=mask,
                max_new_tokens=options.tokens,
                do_sample=False,
                eos_token_id=model.manifest.eos,
                pad_token_id=model.manifest.pad,
            )[0].tolist()
            answers.append(tuple(ids[: ids.index(model.manifest.eos)] if model.manifest.eos in ids else ids))
        return answers

    contenders: dict[str, Callable[[], list[tuple[int, ...]]]] = {
        "eight at a time": partial(ours, 8),
        "one at a time": partial(ours, 1),
        "transformers": theirs,
    }
    answers = {name: answer() for name, answer in contenders.items()}

    def pace(answer: Callable[[], Any]) -> float:
        began_s = time.perf_counter()
        answer()
        return len(heard) / (time.perf_counter() - began_s)

    found = _in_turns({name: partial(pace, answer) for name, answer in contenders.items()}, options.rounds, "answers a second")
    told = []
    for name, paces in found.items():
        same = sum(a == b for a, b in zip(answers[name], answers["one at a time"], strict=True))
        tokens = statistics.mean(map(len, answers[name]))
        told.append(
            f"{name:16} {_spread(paces, '{:7.2f}')} answers a second, {tokens:.0f} tokens on average, {same}/{len(heard)} as one at a time"
        )
    ratios = {name: _ratio(found["eight at a time"], found[name]) for name in list(contenders)[1:]}
    told += [f"eight at a time beside {name}: {ratio:.2f} x" for name, ratio in ratios.items()]

    sizes = {"eight at a time": 8, "one at a time": 1}
    writers: dict[str, Callable[[], Any]] = {name: partial(_written, generator, in_parts(size)) for name, size in sizes.items()}
    writing = _in_turns(writers, options.rounds, "tokens a second, once prompts are read")
    ratios["writing"] = _ratio(writing["eight at a time"], writing["one at a time"])
    told += [f"{name:16} {_spread(paces, '{:7.1f}')} tokens a second, once prompts are read" for name, paces in writing.items()]
    told.append(f"eight at a time beside one at a time, once prompts are read: {ratios['writing']:.2f} x")
    return {"told": told, "answers_per_s": found, "tokens_per_s": writing, "ratio": ratios}


def _written(generator: Any, parts: list[tuple[list[Example], list[SpeechUnits | None]]]) -> float:
    """Tokens written a second, without the time in which the prompts are read."""
    import torch
    from transformers import DynamicCache

    model, collator = generator.model, generator.model.collator()
    began_s = time.perf_counter()
    with torch.inference_mode():
        for part in parts:
            batch = {name: tensor.to(model.device) for name, tensor in collator.prompts(*part).items()}
            mask = batch.pop("attention_mask")
            model.hidden(model.embed(**batch), mask, DynamicCache(config=model.config))
    read_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    # The first token of an answer comes with its prompt, and its end is one more.
    tokens = sum(len(answer.ids) for part in parts for answer in generator.generate(*part))
    return tokens / (time.perf_counter() - began_s - read_s)


def _config(options: argparse.Namespace, root: Path) -> TrainEmosdsConfig:
    stage = f"stage_{STAGE}"
    values: dict[str, Any] = {
        "storage": str(root),
        "stage": str(STAGE),
        "data": "bench",
        "start_from": "bench",
        "workers.count": 1,
        "workers.cpus": options.threads,
        "workers.use_gpu": "auto",
        f"{stage}.training.epochs": options.epochs,
        f"{stage}.training.batches_per_step": 1,
        f"{stage}.training.schedule": "cosine",
        f"{stage}.training.warmup_ratio": 0,
        f"{stage}.training.selection": "last",
        f"{stage}.training.patience": 0,
        # A checkpoint is asked for by the user, and its cost is its size: none but the last is written here.
        f"{stage}.training.save_every_epochs": options.epochs,
        f"{stage}.training.save_every_steps": 0,
    }
    return resolved(with_values(read_config(TrainEmosdsConfig, find_preset(options.config, "train_emosds")), values))


def _stage_run(options: argparse.Namespace, root: Path) -> StageRunConfig:
    config = _config(options, root)
    return stage_run(config, STAGE, config.model)


def _write(options: argparse.Namespace, root: Path, clips: int) -> Path:
    """Units, examples and a random model of the stage before, below a storage root; gives the root."""
    import pyarrow as pa

    from rapport.datasets.emosds.examples import write_examples
    from rapport.datasets.feature_store import INDEX_SCHEMA, SHARED_FACTS, shard_path
    from rapport.datasets.ragged import write_ragged
    from rapport.datasets.unit_store import KIND, stored_item
    from rapport.models.emosds.lineage import Lineage
    from rapport.models.emosds.pretrained import save_pretrained

    config = _config(options, root)
    model = config.model
    made = [_clip(index, model.clusters, model.residual_width) for index in range(clips)]
    units = storage.join(root, "features", "units", "bench", "0")
    write_ragged(shard_path(units, 0), [stored_item(speech, "float16") for _, speech in made])
    index = [
        {"utterance_id": row.utterance_id, "shard": 0, "row": place, "frames": len(speech.ids), "units": len(speech.units)}
        for place, (row, speech) in enumerate(made)
    ]
    storage.write_table(storage.join(units, "index.parquet"), pa.Table.from_pylist(index, schema=INDEX_SCHEMA))
    facts = {
        "kind": KIND,
        "codebook_hash": "0" * 64,
        "clusters": model.clusters,
        "width": model.residual_width,
        "residual_sign": "centroid-frame",
        "residual_dtype": "float16",
        "hop_s": 0.02,
    }
    storage.finish(units, {SHARED_FACTS: facts, "shards": 1})
    examples = storage.join(root, "features", "emosds", "bench", "0")
    counts = write_examples(examples, [row for row, _ in made])
    storage.finish(examples, {"kind": "emosds", "counts": counts, "corpora": {"bench": units}, "units": {"bench": units}})
    random = _random_model(config)
    lineage = Lineage(stage=1, codebook_hash="0" * 64, residual_sign="centroid-frame", tokens_hash=random.manifest.hash)
    save_pretrained(random, storage.join(root, "models", "emosds", "bench"), lineage=lineage)
    return root


def _random_model(config: TrainEmosdsConfig) -> Any:
    from rapport.models.emosds.pretrained import build_model

    return build_model(config.model, [_text(index, 12) for index in range(200)], seed=0)


def _clip(number: int, clusters: int, width: int) -> tuple[Example, SpeechUnits]:
    """An utterance whose length is drawn as in conversations."""
    random = np.random.default_rng(number)
    duration_s = float(np.clip(MEDIAN_S * np.exp(SPREAD * random.standard_normal()), 0.4, LONGEST_S))
    frames = int((duration_s - 0.025) / 0.02) + 1
    # 0.58 units a frame, as measured on the published units.
    ids = np.repeat(random.integers(0, clusters, frames), random.geometric(0.58, frames))[:frames]
    speech = SpeechUnits.of(ids, random.standard_normal((frames, width)).astype(np.float16))
    name = f"bench/{number:06d}"
    emotion = ("angry", "happy", "neutral", "sad", "surprised")[number % 5]
    return Example(name, STAGE, "train", name, "bench", _text(number, max(1, round(2.7 * duration_s))), emotion, prompt=number), speech


def _text(number: int, words: int) -> str:
    return " ".join(np.random.default_rng([number, 1]).choice(WORDS, words)).capitalize() + "."


def _in_turns(contenders: dict[str, Callable[[], Any]], rounds: int, unit: str) -> dict[str, list[float]]:
    """What each contender measured in all its turns; who begins alternates."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        order = list(contenders) if turn % 2 == 0 else list(contenders)[::-1]
        for name in order:
            measured = contenders[name]()
            found[name] += measured if isinstance(measured, list) else [measured]
        line = ", ".join(f"{name} {statistics.median(values):.4g}" for name, values in found.items())
        print(f"turn {turn + 1}/{rounds}: {line} {unit}", file=sys.stderr, flush=True)
    return found


def _spread(values: list[float], shape: str) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{shape.format(statistics.median(values))} (quartiles {shape.format(low).strip()} to {shape.format(high).strip()})"


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(ours) / statistics.median(theirs)


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["all", "batching", "step", "storage", "decoding"], default="all", help="what to measure")
    parser.add_argument("--config", default="embedded", help="preset or file of train_emosds")
    parser.add_argument("--model", help="trained model whose answers are timed; a random one writes --tokens tokens every time")
    parser.add_argument("--clips", type=int, default=400, help="training examples")
    parser.add_argument("--epochs", type=int, default=3, help="epochs in a turn; the first is not counted")
    parser.add_argument("--answers", type=int, default=48, help="answers in a turn")
    parser.add_argument("--tokens", type=int, default=40, help="longest answer")
    parser.add_argument("--stored", type=int, default=200, help="clips written to disk")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="processors of each contender")
    parser.add_argument("--scratch", help="folder for temporary files")
    parser.add_argument("--json", help="write the results there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
