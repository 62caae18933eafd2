"""The spoken dialogue app on a real Ray Serve, reached with the stock OpenAI client."""

import asyncio
import base64
import io
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile

from rapport.core.audio import load_speech
from rapport.models.emosds.answer import EMOTIONS
from rapport.models.emosds.config import GenerationConfig
from rapport.models.emosds.dialogue import Question
from rapport.models.emosds.engine import load_engine
from rapport.ray_jobs.serve_app import deploy
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.sds import Args, Decoding
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings

CHAT = "/v1/chat/completions"
TOKENS = 24
MAX_PENDING = 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def wav(seconds: float, seed: int = 0) -> bytes:
    sink = io.BytesIO()
    noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
    soundfile.write(sink, noise, 16_000, format="WAV", subtype="PCM_16")
    return sink.getvalue()


def spoken(data: bytes) -> dict[str, object]:
    recording = {"data": base64.b64encode(data).decode(), "format": "wav"}
    return {"role": "user", "content": [{"type": "input_audio", "input_audio": recording}]}


@pytest.fixture(scope="module")
def url(ray_cluster: dict[str, float], emosds_model: Path) -> Iterator[str]:
    from ray import serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    args = Args(
        model=str(emosds_model),
        device="cpu",
        endpoints=DialogueSettings(requests=RequestLimits(max_pending=MAX_PENDING), max_answer_tokens=TOKENS),
        decoding=Decoding(max_batch_size=4, wait_s=0.05),
    )
    yield deploy("sds", args, port=port, log_level="ERROR").url
    serve.shutdown()


@pytest.fixture(scope="module")
def stock(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300)


def ask(client: openai.OpenAI, *messages: object, **options: Any) -> Any:
    """The answer, or what comes of its stream; fields that OpenAI's have not are attributes of it too."""
    asked: Any = list(messages)
    return client.chat.completions.create(model="emosds", messages=asked, **options)


def test_the_stock_client_talks_with_it(stock: openai.OpenAI) -> None:
    before = {"role": "assistant", "content": "Did you catch the bus?", "x_emotion": "neutral"}
    answer = ask(stock, before, spoken(wav(1.0)), modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
    assert set(answer.x_emotion.values()) <= set(EMOTIONS)
    assert answer.choices[0].message.content
    assert answer.x_transcript
    sound = base64.b64decode(answer.choices[0].message.audio.data)
    assert soundfile.info(io.BytesIO(sound)).samplerate == 24_000
    # The random model may reply in signs that nobody can pronounce: what counts is that its reply is spoken as any text is.
    words, emotion = answer.choices[0].message.content, answer.x_emotion["reply"]
    again = stock.audio.speech.create(model="tts", voice="alloy", input=words, response_format="wav", extra_body={"x_emotion": emotion})
    assert sound == again.content


def test_a_stream_comes_in_parts_and_adds_up_to_the_answer(stock: openai.OpenAI) -> None:
    question = spoken(wav(1.0, 1))
    whole = ask(stock, question)
    chunks = list(ask(stock, question, modalities=["text", "audio"], audio={"voice": "echo", "format": "pcm16"}, stream=True))
    words = [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content]
    assert len(words) > 1
    assert "".join(words).split() == whole.choices[0].message.content.split()
    assert chunks[-1].x_emotion == whole.x_emotion
    assert chunks[-1].x_transcript == whole.x_transcript
    assert any(getattr(c.choices[0].delta, "audio", None) for c in chunks)


def test_served_and_offline_answers_agree_also_in_batches(url: str, emosds_model: Path) -> None:
    clips = [wav(seconds, seed) for seed, seconds in enumerate((0.4, 0.9, 1.3, 1.7, 1.9, 2.5, 3.3, 0.6))]

    async def ask_all() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            return await asyncio.gather(
                *(client.post(CHAT, json={"messages": [spoken(c)], "stream": n % 2 == 1}) for n, c in enumerate(clips))
            )

    engine = load_engine(emosds_model, device="cpu")
    generation = GenerationConfig(constrained=True, max_new_tokens=TOKENS)
    for number, (clip, response) in enumerate(zip(clips, asyncio.run(ask_all()), strict=True)):
        assert response.status_code == 200, response.text
        (expected,) = engine.reply([Question(load_speech(clip).samples, generation=generation)])
        if number % 2 == 0:
            answer = response.json()
            assert answer["choices"][0]["message"]["content"] == expected.answer.reply
            assert answer["x_emotion"] == {"user": expected.answer.user_emotion, "reply": expected.answer.reply_emotion}
            assert answer["usage"]["prompt_tokens"] == expected.question_tokens
        else:
            assert f'"x_transcript":"{expected.answer.transcript}"' in response.text.replace('\\"', '"').replace("\\\\", "\\")


def test_recordings_are_written_down_and_texts_spoken(stock: openai.OpenAI) -> None:
    found = stock.audio.transcriptions.create(model="emosds", file=("clip.wav", wav(1.0)))
    assert found.text
    assert found.to_dict()["x_emotion"] in EMOTIONS
    data = stock.audio.speech.create(model="tts", voice="onyx", input="We won!", extra_body={"x_emotion": "happy"}).content
    assert 0.2 < load_speech(data).duration_s < 4


def test_what_the_model_cannot_take_is_refused_and_the_server_goes_on(stock: openai.OpenAI, url: str) -> None:
    for stream in (False, True):
        response = httpx.post(url + CHAT, json={"messages": [spoken(wav(29.0))], "stream": stream}, timeout=200)
        assert response.status_code == 400
        assert "too long" in response.json()["error"]["message"]
        assert "Traceback" not in response.text
    with pytest.raises(openai.BadRequestError, match="not base64"):
        ask(stock, {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "%", "format": "wav"}}]})
    assert ask(stock, spoken(wav(0.5))).choices


def test_a_listener_that_leaves_gives_its_place_back(url: str) -> None:
    body = {"messages": [spoken(wav(1.0))], "stream": True, "modalities": ["text", "audio"]}
    for _ in range(MAX_PENDING + 2):
        with httpx.stream("POST", url + CHAT, json=body, timeout=200) as response:
            assert response.status_code == 200
            next(response.iter_bytes())
    assert httpx.post(url + CHAT, json={"messages": [spoken(wav(0.5))]}, timeout=200).status_code == 200


def test_a_crowd_is_served_or_told_when_to_come_back(url: str) -> None:
    async def main() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=120, limits=httpx.Limits(max_connections=100)) as client:
            return await asyncio.gather(*(client.post(CHAT, json={"messages": [spoken(wav(1.0, n))]}) for n in range(3 * MAX_PENDING)))

    responses = asyncio.run(main())
    statuses = [r.status_code for r in responses]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= MAX_PENDING
    assert all(int(r.headers["retry-after"]) >= 1 for r in responses if r.status_code == 429)
    assert httpx.get(f"{url}/healthz", timeout=200).status_code == 200


def test_page_models_and_health_are_served(stock: openai.OpenAI, url: str) -> None:
    assert httpx.get(url).text.startswith("<!doctype html>")
    assert [m.id for m in stock.models.list()] == ["emosds", "tts"]
    assert httpx.get(f"{url}/healthz", timeout=200).json()["model"] == "emosds"
    assert CHAT in httpx.get(f"{url}/openapi.json").json()["paths"]
