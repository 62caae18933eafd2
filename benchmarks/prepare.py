"""How many hours of audio our preparing decodes in an hour, beside a process pool and beside Daft, all with the same function.

    python benchmarks/prepare.py --root ../shared/data/ravdess
    python benchmarks/prepare.py --root /data/CREMA-D --corpus cremad --repeat 1 --rounds 5 --json prepare.json

Every contender runs `decode_chunk` (read, hash, check, resample, write shard and table) on the same chunks with the same number of
workers; they take turns, and each warms up before its turn. Without --root a small synthetic corpus is made.
Needs the `bench` group: `uv sync --group bench`.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

# Daft reports its imports to its makers unless told not to.
os.environ["DO_NOT_TRACK"] = "1"
os.environ["DAFT_PROGRESS_BAR"] = "0"

from rapport.core.audio import AudioLimits
from rapport.datasets.prepare import Plan, PrepareConfig, decode_chunks, plan_corpus
from rapport.datasets.scan import write_tones
from rapport.datasets.stages.decode import Chunk, decode_chunk
from rapport.ray_jobs.runtime import start_ray

Contender = Callable[[Plan], Iterable[Mapping[str, Any]]]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="prepare-bench-", dir=options.scratch) as scratch:
        plan = _plan(options, Path(scratch))
        speech_s, seconds = measure(plan, options.workers, options.rounds, Path(scratch))
    results = summarise(speech_s, seconds)
    print_table(results, f"{len(plan.chunks)} chunks, {speech_s / 3600:.2f} h of audio, {options.workers} workers, {options.rounds} rounds")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(plan: Plan, workers: int, rounds: int, scratch: Path) -> tuple[float, dict[str, list[float]]]:
    """Seconds of audio in the plan, and for each contender its wall-clock seconds by round; contenders take turns."""
    seconds: dict[str, list[float]] = {}
    speech_s = 0.0
    # The pool forks before Ray starts its threads.
    with multiprocessing.get_context("fork").Pool(workers) as pool, start_ray(num_cpus=workers):
        contenders: dict[str, Contender] = {
            "rapport": decode_chunks,
            f"pool of {workers}": partial(_pool, pool),
            f"daft, {workers} processes": partial(_daft, workers, True),
            "daft, own choice": partial(_daft, workers, None),
        }
        names = list(contenders)
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                # Ray stops workers that were idle for ten seconds, and they were while the others had their turn.
                list(contenders[name](_into(plan, scratch / "warm", plan.pending[: 4 * workers])))
                shutil.rmtree(scratch / "warm")
                target = scratch / "run"
                work = _into(plan, target, plan.pending)
                os.sync()  # what the one before wrote is not this one's burden
                began_s = time.perf_counter()
                done = list(contenders[name](work))
                seconds.setdefault(name, []).append(time.perf_counter() - began_s)
                speech_s = sum(d["speech_s"] for d in done)
                assert len(done) == len(plan.pending) == len(list(target.glob("chunks/*.parquet")))
                shutil.rmtree(target)
                print(f"round {turn + 1}: {name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return speech_s, seconds


def summarise(speech_s: float, seconds: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """One record a contender: hours of audio an hour (median, least, most) and the ratio of medians to the first contender."""
    rates = {name: sorted(speech_s / s for s in runs) for name, runs in seconds.items()}
    first = statistics.median(next(iter(rates.values())))
    return [
        {
            "contender": name,
            "hours_per_hour": round(statistics.median(runs), 1),
            "least": round(runs[0], 1),
            "most": round(runs[-1], 1),
            "seconds": [round(s, 3) for s in seconds[name]],
            "rapport_over_this": round(first / statistics.median(runs), 3),
        }
        for name, runs in rates.items()
    ]


def print_table(results: list[dict[str, Any]], title: str) -> None:
    """The results as a table on stdout."""
    print(title)
    print(f"{'':24}{'hours/hour':>12}{'least':>12}{'most':>12}{'rapport is':>12}")
    for r in results:
        figures = f"{r['hours_per_hour']:>12,.0f}{r['least']:>12,.0f}{r['most']:>12,.0f}"
        print(f"{r['contender']:24}{figures}{r['rapport_over_this']:>11.2f}x")


def _pool(pool: Any, plan: Plan) -> Iterable[Mapping[str, Any]]:
    work = partial(decode_chunk, folder=plan.folder, limits=plan.config.limits)
    return pool.imap_unordered(work, [{"chunk": c.to_json()} for c in plan.pending])


def _daft(workers: int, use_process: bool | None, plan: Plan) -> Iterable[Mapping[str, Any]]:
    import daft

    @daft.cls(max_concurrency=workers, use_process=use_process)
    class Decode:
        def __init__(self, folder: str, limits: str):
            self.work = partial(decode_chunk, folder=folder, limits=AudioLimits.model_validate_json(limits))

        @daft.method.batch(return_dtype=daft.DataType.string(), batch_size=4)
        def counts(self, chunks: Any) -> list[str]:
            return [json.dumps(self.work({"chunk": chunk})) for chunk in chunks.to_pylist()]

    decode = Decode(plan.folder, plan.config.limits.model_dump_json())
    frame = daft.from_pydict({"chunk": [c.to_json() for c in plan.pending]}).into_batches(4)
    counts: Any = decode.counts(daft.col("chunk"))  # an expression, whatever the annotations of the method say
    return [json.loads(text) for text in frame.select(counts.alias("counts")).to_pydict()["counts"]]


def _into(plan: Plan, folder: Path, chunks: list[Chunk]) -> Plan:
    return replace(plan, folder=str(folder), pending=chunks)


def _plan(options: argparse.Namespace, scratch: Path) -> Plan:
    """The plan of the corpus, its chunks repeated so that a run lasts long enough to be timed."""
    root = options.root
    if root is None:
        root = str(scratch / "tones")
        names = [f"Actor_{a:02d}/03-01-0{e}-01-0{s}-01-{a:02d}.wav" for a in range(1, 25) for e in range(1, 9) for s in (1, 2)]
        write_tones(Path(root), names, duration_s=3.0, sample_rate_hz=48_000)
    corpus = {"name": options.corpus, "root": root}
    split = {"method": "all_train"}
    config = {"corpus": corpus, "split": split, "storage": str(scratch), "chunk_size": options.chunk_size, "concurrency": options.workers}
    plan = plan_corpus(PrepareConfig.model_validate(config))
    chunks = [replace(c, index=c.index + turn * len(plan.chunks)) for turn in range(options.repeat) for c in plan.chunks]
    return replace(plan, chunks=chunks, pending=chunks)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder of the corpus as published; without it, tones are made")
    parser.add_argument("--corpus", default="ravdess", help="its loader")
    parser.add_argument("--repeat", type=int, default=10, help="how often the corpus is gone through in one run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--chunk-size", type=int, default=64)
    parser.add_argument("--scratch", help="folder for the outputs, which are removed")
    parser.add_argument("--json", help="file for the results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
