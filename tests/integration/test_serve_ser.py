"""The speech emotion app on a real Ray Serve, reached over HTTP."""

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import soundfile

from rapport.core.audio import load_speech
from rapport.models.ser.inference import Predictor
from rapport.ray_jobs.serve_app import deploy
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.ser import Args, Batching
from rapport.serve_apps.speech_emotion.settings import EmotionSettings

PATH = "/v1/audio/emotions"
MAX_PENDING = 12
# The promise is a second; this computer may be busy with other tests.
AT_ONCE_S = 3.0


def wav(samples: np.ndarray, rate_hz: int = 16_000, **how: str) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples, rate_hz, **{"format": "WAV", **how})
    return sink.getvalue()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    colour = draw.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
    return np.convolve(colour, draw.normal(0, 1, 16), "same").astype(np.float32) / 4


@pytest.fixture(scope="module")
def url(ray_cluster: dict[str, float], ser_model: Path) -> Iterator[str]:
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    args = Args(
        model=str(ser_model),
        device="cpu",
        endpoints=EmotionSettings(requests=RequestLimits(max_pending=MAX_PENDING)),
        batching=Batching(max_batch_size=4, wait_s=0.05, edges_s=(1.0, 2.0, 4.0)),
    )
    yield deploy("ser", args, port=port, log_level="ERROR").url
    serve.shutdown()


def ask(url: str, data: bytes, field: str = "file", **form: str) -> httpx.Response:
    return httpx.post(url + PATH, files={field: ("clip.wav", data)}, data=form, timeout=60)


def test_served_and_offline_answers_agree_also_in_mixed_batches(url: str, ser_model: Path) -> None:
    clips = [wav(noise(seconds, seed)) for seed, seconds in enumerate((0.4, 0.9, 1.3, 1.7, 1.9, 2.5, 3.3, 3.9, 5.0, 7.5))]

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            return await asyncio.gather(*(client.post(PATH, files={"file": ("clip.wav", clip)}) for clip in clips))

    predictor = Predictor.from_pretrained(ser_model, device="cpu")
    for clip, response in zip(clips, asyncio.run(ask_all()), strict=True):
        assert response.status_code == 200, response.text
        answer = response.json()
        samples = load_speech(clip).samples
        assert answer["scores"] == pytest.approx(predictor.predict([samples])[0].scores, abs=1e-4)
        moments = predictor.timeline(samples, hop_s=predictor.window_s / 2, smoothing_s=0)
        assert len(answer["windows"]) == len(moments)
        for window, moment in zip(answer["windows"], moments, strict=True):
            assert window["scores"] == pytest.approx(moment.scores, abs=1e-4)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"not audio at all, but a letter", "audio_not_audio"),
        (b"", "audio_empty"),
        (wav(np.zeros(0, np.float32)), "audio_no_samples"),
        (wav(np.zeros(600 * 16_000, np.int16)), "audio_too_long"),
        (wav(np.random.default_rng(0).normal(0, 0.1, (8_000, 6))), "audio_channels"),
        (wav(np.full(8_000, np.nan, np.float32), subtype="FLOAT"), "audio_not_finite"),
    ],
    ids=["not audio", "empty", "no samples", "ten minutes", "six channels", "NaN"],
)
def test_bad_clips_are_refused_at_once(url: str, data: bytes, code: str) -> None:
    began_s = time.monotonic()
    response = ask(url, data)
    assert time.monotonic() - began_s < AT_ONCE_S
    assert response.status_code == 400
    assert response.json()["error"]["code"] == code
    assert ask(url, wav(noise(1.0))).status_code == 200, "the server keeps serving"


def test_bad_requests_are_refused_at_once(url: str) -> None:
    data = wav(noise(1.0))
    began_s = time.monotonic()
    answers = {
        400: ask(url, data, field="sound"),
        405: httpx.put(url + PATH, content=data),
        404: httpx.post(f"{url}/v1/audio/feelings", content=data),
    }
    assert time.monotonic() - began_s < AT_ONCE_S
    for status, response in answers.items():
        assert response.status_code == status
        assert response.json()["error"]["type"] in ("invalid_request_error", "not_found_error")


def test_a_gibibyte_without_length_is_cut_short_in_bounded_memory(url: str) -> None:
    handed = 0

    def endless() -> Iterator[bytes]:
        nonlocal handed
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
        block = bytes(2**20)
        for handed in range(1, 1025):  # noqa: B007 - read after the request
            yield block

    before = serving_memory_mib()
    began_s = time.monotonic()
    response = httpx.post(url + PATH, content=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"}, timeout=60)
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "request_too_large"
    assert time.monotonic() - began_s < 3 * AT_ONCE_S
    assert handed > 0
    assert serving_memory_mib() - before < 600
    assert ask(url, wav(noise(1.0))).status_code == 200


def test_a_declared_gibibyte_is_refused_unread(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {2**30}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_one_request_too_many_gets_429_and_the_next_is_served(url: str) -> None:
    data = wav(noise(1.0))

    async def main() -> None:
        released = asyncio.Event()
        begun = 0

        async def slow_upload() -> AsyncIterator[bytes]:
            nonlocal begun
            begun += 1
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n\r\n'
            await released.wait()
            yield data + b"\r\n--b--\r\n"

        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            headers = {"Content-Type": "multipart/form-data; boundary=b"}
            uploads = [asyncio.create_task(client.post(PATH, content=slow_upload(), headers=headers)) for _ in range(MAX_PENDING + 3)]
            while begun < len(uploads):
                await asyncio.sleep(0.05)
            # httpx reads no answer before it has sent everything: those refused by now only learn of it below.
            health = await client.get("/healthz")
            released.set()
            answers = await asyncio.gather(*uploads)
            after = await client.post(PATH, files={"file": ("clip.wav", data)})
        refused = [response for response in answers if response.status_code != 200]
        assert [response.status_code for response in refused] == [429] * 3
        assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
        assert refused[0].json()["error"]["type"] == "rate_limit_error"
        assert health.status_code == 200, "a full server is not a sick one"
        assert after.status_code == 200

    asyncio.run(main())


def test_words_page_models_and_health_are_served(url: str) -> None:
    answer = ask(url, wav(noise(1.0)), transcribe="true")
    assert answer.status_code == 200
    assert isinstance(answer.json()["text"], str)
    assert httpx.get(url).text.startswith("<!doctype html>")
    assert httpx.get(f"{url}/v1/models").json()["data"][0]["window_s"] == 1.5
    assert httpx.get(f"{url}/healthz").json()["status"] == "ok"
    assert "/v1/audio/emotions" in httpx.get(f"{url}/openapi.json").json()["paths"]


def serving_memory_mib() -> float:
    """Memory of the proxies and replicas of this user's Ray."""
    found = (p for p in psutil.process_iter(["name", "memory_info"]) if p.info["memory_info"])
    return sum(p.info["memory_info"].rss for p in found if "ProxyActor" in p.info["name"] or "ServeReplica" in p.info["name"]) / 2**20
