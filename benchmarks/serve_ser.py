"""Latency and throughput of the speech emotion service beside a bare FastAPI server with the same model and the same client.

    python benchmarks/serve_ser.py
    python benchmarks/serve_ser.py --model ~/rapport/models/ser/NAME --rounds 7 --json serve_ser.json

The bare server is what one writes in a quarter of an hour: one process, uvicorn, an endpoint on FastAPI's thread pool that decodes with
the same function and calls the same predictor, and no limits, queues, batches, health checks or pages. Both run on loopback and take
turns, one block of requests after the other; figures are medians over rounds. Three loads:

    alone    one client, one clip of 3 s after the other: p50 and p99 latency
    crowd    8 clients at once, clips of 1 to 6 s: requests per second, p50 and p99 latency
    mixed    as alone, while another client keeps sending recordings of 60 s: p50 and p99 latency of the short clips

Without --model a random one of the default size is used: its weights do not matter here.
"""

import argparse
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rapport.core.audio import encode_wav

OURS, BARE = "rapport", "bare FastAPI"
PATHS = {OURS: "/v1/audio/emotions", BARE: "/predict"}
Figures = dict[str, float]


def main() -> None:
    options = _options()
    if options.bare_port:
        serve_bare(options.model, options.bare_port, options.threads)
        return
    with tempfile.TemporaryDirectory(prefix="serve-bench-") as scratch:
        model = options.model or write_model(Path(scratch) / "model")
        with servers(model, options.threads) as ports:
            results = measure(ports, options)
    print_table(results)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def serve_bare(model: str, port: int, threads: int) -> None:
    """The peer: the shortest competent server of this model."""
    import torch
    import uvicorn
    from fastapi import FastAPI, UploadFile

    from rapport.core.audio import load_speech
    from rapport.models.ser.inference import Predictor

    torch.set_num_threads(threads)
    predictor = Predictor.from_pretrained(model, device="cpu")
    app = FastAPI()

    @app.post("/predict")
    def predict(file: UploadFile) -> dict[str, object]:
        speech = load_speech(file.file.read())
        prediction = predictor.predict([speech.samples])[0]
        return {"emotion": prediction.emotion, "scores": prediction.scores, "duration_s": speech.duration_s}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


def write_model(folder: Path) -> str:
    """A random model of the default size."""
    import torch

    from rapport.models.ser.classifier import SpeechEmotionClassifier
    from rapport.models.ser.config import SerConfig

    torch.manual_seed(0)
    model = SpeechEmotionClassifier(SerConfig())
    model.fit_normalisation([clip(1.0, seed) for seed in range(4)])
    model.save_pretrained(folder)
    return str(folder)


@contextmanager
def servers(model: str, threads: int) -> Iterator[dict[str, int]]:
    """Both servers, up and warm: port by name."""
    ports = {name: _free_port() for name in PATHS}
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment.pop("RAPPORT_API_KEY", None)
    ours = ["-m", "rapport.ray_jobs.serve_app", "--model", model, "--port", str(ports[OURS]), "--transcriber", "off", "--device", "cpu"]
    bare = [__file__, "--model", model, "--bare-port", str(ports[BARE]), "--threads", str(threads)]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for arguments in ([*ours, "--replicas.num-cpus", str(threads)], bare):
            running.append(subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL))
        for name, port in ports.items():
            _wait_for(name, port, running)
        yield ports
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(60)


def measure(ports: dict[str, int], options: argparse.Namespace) -> dict[str, dict[str, Figures]]:
    """Figures by load and server: medians over the rounds, in which the servers take turns."""
    rounds: dict[str, dict[str, list[Figures]]] = {load: {name: [] for name in PATHS} for load in ("alone", "crowd", "mixed")}
    short = [form(clip(3.0, seed)) for seed in range(8)]
    assorted = [form(clip(1.0 + 5.0 * (seed % 8) / 7, seed)) for seed in range(16)]
    for number in range(options.rounds + 1):
        # The first round warms both up and is not counted; who begins alternates.
        for name in sorted(ports, reverse=number % 2 == 0):
            client = Client(ports[name], PATHS[name])
            alone = summary(client.in_turn(short, options.requests))
            crowd = client.at_once(assorted, options.requests * 2, options.clients)
            with client.busy_with(form(clip(60.0, 99))):
                mixed = summary(client.in_turn(short, options.requests // 2))
            if number:
                for load, figures in (("alone", alone), ("crowd", crowd), ("mixed", mixed)):
                    rounds[load][name].append(figures)
        print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
    return {
        load: {name: {key: statistics.median(f[key] for f in found) for key in found[0]} for name, found in by_name.items()}
        for load, by_name in rounds.items()
    }


class Client:
    """Sends prepared requests over connections that stay open."""

    def __init__(self, port: int, path: str) -> None:
        self.port = port
        self.path = path
        self._local = threading.local()

    def send(self, body: bytes) -> float:
        """Seconds until the answer is here. Raises RuntimeError when it is none."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        began_s = time.perf_counter()
        self._local.connection.request("POST", self.path, body, {"Content-Type": "multipart/form-data; boundary=frontier"})
        response = self._local.connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - began_s
        if response.status != 200:
            raise RuntimeError(f"{self.path} answered {response.status}: {answer[:200]!r}")
        return seconds

    def in_turn(self, bodies: list[bytes], count: int) -> list[float]:
        """Latencies of requests sent one after the other."""
        return [self.send(bodies[number % len(bodies)]) for number in range(count)]

    def at_once(self, bodies: list[bytes], count: int, clients: int) -> Figures:
        """Figures of requests sent by several clients, each one after the other."""
        began_s = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            latencies = list(pool.map(self.send, (bodies[number % len(bodies)] for number in range(count))))
        return {"requests_per_s": count / (time.perf_counter() - began_s), **summary(latencies)}

    @contextmanager
    def busy_with(self, body: bytes) -> Iterator[None]:
        """Another client that sends the same request over and over."""
        over = threading.Event()

        def keep_on() -> None:
            while not over.is_set():
                self.send(body)

        thread = threading.Thread(target=keep_on)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def clip(seconds: float, seed: int) -> np.ndarray:
    """Coloured noise, float32 [S]."""
    noise = np.random.default_rng(seed).normal(0, 0.1, round(16_000 * seconds))
    return np.convolve(noise, np.ones(8) / 8, "same").astype(np.float32)


def form(samples: np.ndarray) -> bytes:
    """The body of an upload; our service is asked for no windows, which the bare one does not offer."""
    part = b'--frontier\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    return b"".join(
        [
            part % (b"file", b'; filename="clip.wav"\r\nContent-Type: audio/wav') + encode_wav(samples) + b"\r\n",
            part % (b"timeline", b"") + b"false\r\n--frontier--\r\n",
        ]
    )


def summary(latencies: list[float]) -> Figures:
    """p50 and p99 in milliseconds."""
    return {"p50_ms": 1000 * float(np.percentile(latencies, 50)), "p99_ms": 1000 * float(np.percentile(latencies, 99))}


def print_table(results: dict[str, dict[str, Figures]]) -> None:
    """The figures of both servers, and ours over the bare one's."""
    print(f"{'load':8} {'figure':16} {OURS:>12} {BARE:>14} {'ratio':>8}")
    for load, by_name in results.items():
        for key, ours in by_name[OURS].items():
            bare = by_name[BARE][key]
            print(f"{load:8} {key:16} {ours:12.1f} {bare:14.1f} {ours / bare:8.2f}")


def _wait_for(name: str, port: int, running: list[subprocess.Popen[bytes]]) -> None:
    body = form(clip(1.0, 0))
    for _ in range(1200):
        if any(process.poll() is not None for process in running):
            raise SystemExit("a server did not start: see above")
        try:
            Client(port, PATHS[name]).send(body)
        except (OSError, RuntimeError, http.client.HTTPException):
            time.sleep(0.25)
        else:
            return
    raise SystemExit(f"{name} did not come up within five minutes")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="", help="folder of a trained model; a random one unless given")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count")
    parser.add_argument("--requests", type=int, default=100, help="requests of the load `alone` in each round; the others follow it")
    parser.add_argument("--clients", type=int, default=8, help="clients of the load `crowd`")
    parser.add_argument("--threads", type=int, default=1, help="threads that the model may compute with, in both servers")
    parser.add_argument("--json", default="", help="also write the figures here")
    parser.add_argument("--bare-port", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
