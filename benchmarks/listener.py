"""What head motion costs: a stream beside whole recordings and beside openSMILE, and the delay of poses with many streams at once.

    python benchmarks/listener.py
    python benchmarks/listener.py --part latency --model ~/rapport/models/listener/NAME --json listener.json

Two parts. Contenders take turns, figures are medians over turns; without --model a random one of the default size is used.

    speed      frames a second on one processor: speech in pieces of 33 ms to a `MotionStream`, beside the same model on the whole
               recording, beside the eGeMAPS functionals of the 0.64 s before each frame by openSMILE, which the published system computes
               before its network begins (goal: 20 times as fast), and beside openSMILE's descriptors of the whole recording, the least
               that eGeMAPS can cost. Goal: 100 times as fast as speech at 30 Hz
    latency    milliseconds from a client's sending of the sound that completes a frame to the pose's arrival, over a WebSocket of the
               service on this computer, clients on the same two processors: 1, 8 and 32 streams at the pace of speech. What the model
               looks ahead is not counted. Goal: p99 below 20 with 32 streams
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 16_000
PIECE_S = 1 / 30
SENT_S = 0.02  # what telephones and browsers send at once
ACK_S = 0.25  # between two acknowledgements, as on the page
STREAMS = (1, 8, 32)
PROCESSORS = 2
GOAL_PUBLISHED, GOAL_REAL_TIME, GOAL_MS = 20, 100, 20
Figures = dict[str, Any]


def main() -> None:
    options = _options()
    processors = pin(PROCESSORS)
    results: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="listener-bench-") as scratch:
        model = options.model or write_model(Path(scratch) / "model")
        for name, part in (("speed", speed), ("latency", latency)):
            if options.part in ("all", name):
                results[name] = {**part(model, options), "processors": processors}
                print(name, *(f"  {line}" for line in results[name]["told"]), sep="\n", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def pin(count: int) -> int:
    """Keep this process, and the server that it starts, to so many processors, where the system can: how many there are to them."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    chosen = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, chosen)
    return len(chosen)


def write_model(folder: Path) -> str:
    """A random model of the default size, which knows the scale of speech."""
    import torch

    from rapport.models.listener.config import ListenerConfig
    from rapport.models.listener.model import HeadMotionModel
    from rapport.models.listener.pretrained import save_pretrained

    torch.manual_seed(0)
    model = HeadMotionModel(ListenerConfig())
    features = model.front_end.features(speech(20.0, 1))
    model.fit_normalisation([(features, np.random.default_rng(0).normal(0, 5, (len(features), 3)))])
    save_pretrained(model, folder)
    return str(folder)


def speed(model: str, options: argparse.Namespace) -> Figures:
    """Frames a second of each contender, one processor each."""
    import opensmile
    import torch

    from rapport.models.listener.config import FrontEndConfig
    from rapport.models.listener.front_end import load_front_end
    from rapport.models.listener.pretrained import from_pretrained
    from rapport.models.listener.streaming import MotionStream

    torch.set_num_threads(1)
    loaded = from_pretrained(model).eval()
    rate_hz = loaded.config.front_end.frame_rate_hz
    sound = speech(options.seconds, 2)
    functionals = load_front_end(FrontEndConfig(kind="egemaps", frame_rate_hz=rate_hz))
    descriptors = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.LowLevelDescriptors, num_workers=1
    )

    def streamed() -> None:
        stream = MotionStream(loaded)
        piece = round(PIECE_S * RATE_HZ)
        for start in range(0, len(sound), piece):
            stream.push(sound[start : start + piece])
        stream.finish()

    contenders: dict[str, tuple[Callable[[], object], float]] = {
        "stream": (streamed, options.seconds),
        "whole recording": (lambda: loaded.predict(sound), options.seconds),
        # By far the slowest: a part of the recording tells its pace.
        "eGeMAPS functionals": (lambda: functionals.features(sound[: RATE_HZ * 4]), 4.0),
        "eGeMAPS descriptors": (lambda: descriptors.process_signal(sound, RATE_HZ), options.seconds),
    }

    def pace(work: Callable[[], object], seconds: float) -> float:
        began_s = time.perf_counter()
        work()
        return seconds * rate_hz / (time.perf_counter() - began_s)

    for work, _ in contenders.values():
        work()
    found = _in_turns({name: partial(pace, *contender) for name, contender in contenders.items()}, options.rounds)
    ours = statistics.median(found["stream"])
    ratios = {name: ours / statistics.median(paces) for name, paces in found.items() if name != "stream"}
    told = [f"{name:20} {_spread(paces)} frames a second" for name, paces in found.items()]
    told += [f"stream beside {name}: {ratio:.2f} x" for name, ratio in ratios.items()]
    told.append(
        f"goals: {GOAL_PUBLISHED} x eGeMAPS functionals; {GOAL_REAL_TIME} x real time, and it is {ours / rate_hz:.0f} x at {rate_hz} Hz"
    )
    return {"told": told, "frames_per_s": found, "ratio": ratios, "real_time": ours / rate_hz}


def latency(model: str, options: argparse.Namespace) -> Figures:
    """Percentiles of the delay with 1, 8 and 32 streams."""
    from rapport.models.listener.pretrained import from_pretrained

    config = from_pretrained(model).config
    ahead_s = config.network.look_ahead_frames / config.front_end.frame_rate_hz
    found: dict[int, list[dict[str, float]]] = {count: [] for count in STREAMS}
    with server(model) as port:
        asyncio.run(_crowd(port, 1, 3.0, ahead_s))  # warms up
        for turn in range(options.rounds):
            for count in STREAMS if turn % 2 == 0 else STREAMS[::-1]:
                delays_ms, lost_s = asyncio.run(_crowd(port, count, options.talk_s, ahead_s))
                shares = {f"p{share}": float(np.percentile(delays_ms, share)) for share in (50, 95, 99)}
                found[count].append({**shares, "frames": len(delays_ms), "lost_s": lost_s})
            print(f"turn {turn + 1}/{options.rounds}", file=sys.stderr, flush=True)
    told, medians = [], {}
    for count, turns in found.items():
        medians[count] = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
        told.append(
            "{:2} streams  p50 {p50:6.1f}  p95 {p95:6.1f}  p99 {p99:6.1f} ms  lost {lost_s:.2f} s of sound".format(count, **medians[count])
        )
    told.append(f"goal: p99 below {GOAL_MS} ms with {STREAMS[-1]} streams on {PROCESSORS} processors")
    return {"told": told, "turns": found, "medians": medians}


@contextmanager
def server(model: str) -> Iterator[int]:
    """The service, up and warm: its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("RAPPORT_API_KEY", None)
    line = [sys.executable, "-m", "rapport.ray_jobs.serve_app", "--app", "head_motion", "--model", model, "--port", str(port)]
    process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit("the server did not start: see above")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
                break
            except (OSError, urllib.error.URLError):
                time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait(60)


async def _crowd(port: int, count: int, seconds: float, ahead_s: float) -> tuple[list[float], float]:
    """The delay of every pose of so many streams, milliseconds, and how much sound the server lost, seconds."""
    outcomes = await asyncio.gather(*(_talk(port, number, count, seconds, ahead_s) for number in range(count)))
    return [delay for delays, _ in outcomes for delay in delays], sum(lost for _, lost in outcomes)


async def _talk(port: int, number: int, count: int, seconds: float, ahead_s: float) -> tuple[list[float], float]:
    """One stream at the pace of speech; streams begin at different moments, as people do."""
    from websockets.asyncio.client import connect

    pcm = (speech(seconds, number) * 32_767).astype("<i2").tobytes()
    size = round(SENT_S * RATE_HZ)
    sent_at_s: list[float] = []
    delays_ms: list[float] = []
    lost_s = read_s = 0.0
    async with connect(f"ws://127.0.0.1:{port}/v1/audio/head-motion/stream", compression=None) as connection:
        await connection.send(json.dumps({"type": "start"}))
        await connection.recv()

        async def speak() -> None:
            began_s = time.perf_counter() + SENT_S * number / count
            for place in range(len(pcm) // (2 * size)):
                await asyncio.sleep(max(0.0, began_s + place * SENT_S - time.perf_counter()))
                sent_at_s.append(time.perf_counter())
                await connection.send(pcm[2 * size * place : 2 * size * (place + 1)])
                if place % round(ACK_S / SENT_S) == 0:
                    await connection.send(json.dumps({"type": "ack", "time_s": read_s}))
            await connection.send(json.dumps({"type": "finish"}))

        speaking = asyncio.create_task(speak())
        async for text in connection:
            now_s = time.perf_counter()
            message = json.loads(text)
            lost_s = max(lost_s, message.get("missed_s", 0.0) + message.get("dropped_s", 0.0))
            for frame in message.get("frames", []):
                read_s = frame["time_s"]
                # The piece that holds the last sample of the frame, and of what the model looks ahead.
                last_sample = round((frame["time_s"] + ahead_s) * RATE_HZ) - 1
                if last_sample // size < len(sent_at_s):
                    delays_ms.append(1000 * (now_s - sent_at_s[last_sample // size]))
        await speaking
    return delays_ms, lost_s


def speech(seconds: float, seed: int) -> np.ndarray:
    """A hum that comes and goes, float32 [S]: what it is like costs nothing more or less."""
    random = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    hum = np.sin(2 * np.pi * 140 * time_s + 3 * np.sin(2 * np.pi * 0.7 * time_s)) * (np.sin(2 * np.pi * 0.4 * time_s + seed) > -0.3)
    return (0.3 * hum + random.normal(0, 0.01, len(time_s))).astype(np.float32)


def _in_turns(contenders: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each contender measured in all its turns; who begins alternates."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds):
        for name in list(contenders) if turn % 2 == 0 else list(contenders)[::-1]:
            found[name].append(contenders[name]())
        print(f"turn {turn + 1}/{rounds}", file=sys.stderr, flush=True)
    return found


def _spread(values: list[float]) -> str:
    low, high = np.quantile(values, [0.25, 0.75])
    return f"{statistics.median(values):9.1f} (quartiles {low:.1f} to {high:.1f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["all", "speed", "latency"], default="all", help="what to measure")
    parser.add_argument("--model", default="", help="folder of a trained model; a random one unless given")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the recording of the part speed")
    parser.add_argument("--talk-s", type=float, default=10.0, help="how long each stream talks in a turn of the part latency")
    parser.add_argument("--json", default="", help="also write the figures here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
