"""What the companion costs around its models: beside bare FastAPI, raw Ray Serve and a pipecat pipeline, all with the same stub models.

    python benchmarks/companion.py
    python benchmarks/companion.py --tuned                      # Serve's HAProxy and its settings for throughput
    python benchmarks/companion.py --rounds 2 --requests 20 --turns 2 --most-sessions 4 --json companion.json

    ingress     POST of a clip of one second, answered by a stub: p50 and p99. `bare` is FastAPI alone, `alone` the companion's own
                interface on uvicorn, `raw` a Serve ingress with one deployment behind it, `ours` the companion on Serve. A hop of ours is
                half of what `ours` takes beyond `alone`, a hop of raw Serve half of what `raw` takes beyond `bare`.
    reply       from the last voiced sample to the first sound of a reply, over a WebSocket at the pace of speech: a pause of half a second
                ends the turn, and the stubs take 70 ms. `after` is the companion when no answer is begun within the pause.
    sessions    how many talk at once so that 95 of 100 replies still come within `--held-ms` of what one alone waits.

Contenders take turns in every round; figures are medians over rounds, with the least and the greatest. The pipeline
(peers/pipecat_voice.py) runs in an environment of its own, which `uv run --script` makes; where it cannot be made it is left out and told.
"""

import argparse
import asyncio
import base64
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from serve_ser import Client, clip, form, summary  # beside this file
from serve_ser import _free_port as free_port

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
PAUSE_S, PIECE_S = 0.5, 0.02
ANSWER_S, VOICE_S = 0.05, 0.02  # what the stubs take
SERVERS = {"bare": "/emotions", "alone": "/v1/audio/emotions", "raw": "/raw/emotions", "ours": "/v1/audio/emotions"}
COMPANIONS = {"ours": "", "after": "/after"}
TUNED = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}


# ---- callers -----------------------------------------------------------------------------------------------------------------------------


def sentence() -> np.ndarray:
    """What is said, float32 [S], 16 kHz, ending in a voiced sample."""
    from rapport.core.audio import SAMPLE_RATE_HZ, resample
    from rapport.core.speech import Voice
    from rapport.models.backends.tts import espeak

    engine = espeak.load()
    samples, rate_hz = engine.speak("I missed the last bus.", Voice(engine.voices["female"][0]))
    said = resample(samples, rate_hz, SAMPLE_RATE_HZ)
    return said[: np.flatnonzero(np.abs(said) > 0.02)[-1] + 1]


async def waited_ms(url: str, said: np.ndarray, rate_hz: int, *, framed: bool) -> float:
    """Milliseconds from the last voiced sample to the first sound of the reply."""
    from websockets.asyncio.client import connect

    from rapport.core.audio import SAMPLE_RATE_HZ, resample, to_pcm16

    voiced = np.concatenate([np.zeros(SAMPLE_RATE_HZ // 2, np.float32), said])
    pcm = to_pcm16(resample(voiced, SAMPLE_RATE_HZ, rate_hz)).astype("<i2").tobytes()
    size = round(PIECE_S * rate_hz) * 2
    silence = bytes(size)
    ended_s = 0.0
    async with connect(url, max_size=None) as socket:

        async def speak() -> None:
            nonlocal ended_s
            pieces = [pcm[start : start + size] for start in range(0, len(pcm), size)]
            began_s = time.perf_counter()
            for number in range(len(pieces) + round(10 / PIECE_S)):
                await asyncio.sleep(max(0.0, began_s + number * PIECE_S - time.perf_counter()))
                piece = pieces[number] if number < len(pieces) else silence
                audio = {"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()}
                await socket.send(json.dumps(audio) if framed else piece)
                if number == len(pieces) - 1:
                    ended_s = time.perf_counter()

        speaking = asyncio.create_task(speak())
        try:
            async with asyncio.timeout(30):
                async for message in socket:
                    if not framed or '"response.output_audio.delta"' in message:
                        return 1000 * (time.perf_counter() - ended_s)
        finally:
            speaking.cancel()
    raise RuntimeError(f"{url} ended the connection without a reply")


async def at_once(url: str, said: np.ndarray, count: int, turns: int) -> list[float]:
    """What `count` sessions wait that do not speak in unison, in milliseconds."""

    async def one(number: int) -> list[float]:
        await asyncio.sleep(2.0 * number / count)
        return [await waited_ms(url, said, 24_000, framed=True) for _ in range(turns)]

    return [waited for many in await asyncio.gather(*map(one, range(count))) for waited in many]


# ---- measuring ---------------------------------------------------------------------------------------------------------------------------


def ingress(ports: Mapping[str, int], rounds: int, requests: int) -> dict[str, dict[str, list[float]]]:
    """p50 and p99 in milliseconds by server, one value a round; the first round warms up and is not counted."""
    bodies = [form(clip(1.0, seed)) for seed in range(8)]
    clients = {name: Client(ports[name], path) for name, path in SERVERS.items()}
    found: dict[str, dict[str, list[float]]] = {name: {"p50_ms": [], "p99_ms": []} for name in SERVERS}
    for number in range(rounds + 1):
        for name in sorted(clients, reverse=number % 2 == 0):
            for figure, value in summary(clients[name].in_turn(bodies, requests)).items():
                if number:
                    found[name][figure].append(value)
    return found


def hops(found: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """What a hop takes by round, in milliseconds, ours and raw."""
    p50 = {name: figures["p50_ms"] for name, figures in found.items()}
    between = {"ours": ("ours", "alone"), "raw": ("raw", "bare")}
    return {name: [(a - b) / 2 for a, b in zip(p50[on], p50[off], strict=True)] for name, (on, off) in between.items()}


def replies(ports: Mapping[str, int], rounds: int, turns: int) -> dict[str, list[float]]:
    """The median wait of each round by contender, in milliseconds."""
    said = sentence()
    ways = {name: (f"ws://127.0.0.1:{ports['ours']}{prefix}/v1/realtime", 24_000, True) for name, prefix in COMPANIONS.items()}
    if "pipecat" in ports:
        ways["pipecat"] = (f"ws://127.0.0.1:{ports['pipecat']}/talk", 16_000, False)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in sorted(ways, reverse=number % 2 == 0):
            url, rate_hz, framed = ways[name]
            waited = [asyncio.run(waited_ms(url, said, rate_hz, framed=framed)) for _ in range(turns)]
            if number:
                found[name].append(statistics.median(waited))
    return found


def sessions(port: int, most: int, held_ms: float, turns: int) -> dict[int, float]:
    """The 95th percentile of what sessions wait, by how many there are: doubled until they are not held, or `most`."""
    url, said = f"ws://127.0.0.1:{port}/v1/realtime", sentence()
    found: dict[int, float] = {}
    count = 1
    while count <= most:
        found[count] = float(np.percentile(asyncio.run(at_once(url, said, count, turns)), 95))
        print(f"{count} sessions: {found[count]:.0f} ms", file=sys.stderr, flush=True)
        if found[count] > found[1] + held_ms:
            break
        count *= 2
    return found


@contextmanager
def servers(tuned: bool) -> Iterator[dict[str, int]]:
    """All contenders that can be had, up: port by name."""
    ports = {name: free_port() for name in ("bare", "alone", "ours")}
    stubs = ["--answer-s", str(ANSWER_S), "--voice-s", str(VOICE_S)]
    script = str(PEERS / "stub_servers.py")
    commands = {name: [sys.executable, script, name, "--port", str(port), *stubs] for name, port in ports.items()}
    uv = shutil.which("uv") or next(iter(map(str, ROOT.glob(".uv/bin/uv"))), None)
    if uv is not None:
        ports["pipecat"] = free_port()
        peer = [uv, "run", "--quiet", "--script", str(PEERS / "pipecat_voice.py"), "--port", str(ports["pipecat"])]
        commands["pipecat"] = [*peer, *stubs, "--pause-s", str(PAUSE_S)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(TUNED if tuned else {})}
    environment.pop("RAPPORT_API_KEY", None)
    environment["PYTHONPATH"] = str(ROOT)
    with ExitStack() as stack:
        for name, command in commands.items():
            process = stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
            stack.callback(process.terminate)
            if not _is_up(process, ports[name]):
                if name != "pipecat":
                    raise SystemExit(f"the server {name} did not start: see above")
                print("pipecat is left out: its environment could not be made, see above", file=sys.stderr)
                del ports[name]
        yield {**ports, "raw": ports["ours"]}


def _is_up(process: "subprocess.Popen[bytes]", port: int) -> bool:
    import socket

    end_s = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < end_s:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.3)
        else:
            return True
    return False


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):7.2f} ms  [{min(values):.2f}, {max(values):.2f}]"


def _ratio(name: str, ours: Sequence[float], theirs: Sequence[float]) -> tuple[str, float]:
    return name, round(statistics.median(ours) / statistics.median(theirs), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=100, help="requests of a round and server")
    parser.add_argument("--turns", type=int, default=5, help="turns of a round and contender, and of each session")
    parser.add_argument("--most-sessions", type=int, default=64)
    parser.add_argument("--held-ms", type=float, default=250, help="how much longer than one alone a session may wait")
    parser.add_argument("--tuned", action="store_true", help="Serve with HAProxy and its settings for throughput")
    parser.add_argument("--json", default="", help="also write the figures to this file")
    options = parser.parse_args()
    with servers(options.tuned) as ports:
        _wait_for_answers(ports)
        requests = ingress(ports, options.rounds, options.requests)
        waits = replies(ports, options.rounds, options.turns)
        held = sessions(ports["ours"], options.most_sessions, options.held_ms, options.turns)
    hop = hops(requests)
    for name, figures in requests.items():
        print(f"ingress   {name:8} " + "   ".join(f"{figure[:-3]} {_spread(values)}" for figure, values in figures.items()))
    for name, values in hop.items():
        print(f"hop       {name:8} {_spread(values)}")
    for name, values in waits.items():
        print(f"reply     {name:8} {_spread(values)}")
    for count, p95 in held.items():
        print(f"sessions  {count:8} {p95:7.0f} ms (p95)")
    p50 = {name: figures["p50_ms"] for name, figures in requests.items()}
    ratios = [
        _ratio("hop, ours over raw Serve", hop["ours"], hop["raw"]),
        _ratio("ingress, ours over bare FastAPI", p50["ours"], p50["bare"]),
    ]
    if "pipecat" in waits:
        ratios += [_ratio(f"wait for a reply, {name} over pipecat", waits[name], waits["pipecat"]) for name in COMPANIONS]
    for name, ratio in ratios:
        print(f"{name}: {ratio:.2f}")
    if options.json:
        told: dict[str, Any] = {"ingress": requests, "hop": hop, "reply": waits, "sessions": held}
        told |= {"ratios": dict(ratios), "tuned": options.tuned}
        Path(options.json).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _wait_for_answers(ports: Mapping[str, int]) -> None:
    """Serve listens before its apps are there."""
    body = form(clip(1.0, 0))
    for name, path in SERVERS.items():
        for _ in range(600):
            try:
                Client(ports[name], path).send(body)
                break
            except (OSError, RuntimeError):
                time.sleep(0.5)
        else:
            raise SystemExit(f"{name} does not answer at {path}")


if __name__ == "__main__":
    main()
