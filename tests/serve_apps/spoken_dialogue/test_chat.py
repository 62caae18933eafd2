"""Conversations, as the stock OpenAI client holds them."""

import base64
import io
import json

import numpy as np
import openai
import pytest
import soundfile

from rapport.core.audio import decode
from rapport.core.examples import ASSISTANT, USER
from rapport.core.schema import Turn
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from tests.serve_apps.spoken_dialogue.conftest import HEARD, SAID, InProcess, ScriptedEngine

PATH = "/v1/chat/completions"


def test_speech_is_answered_with_words_a_voice_and_both_emotions(stock, service, spoken) -> None:
    answer = stock.chat.completions.create(
        model="emosds", messages=[spoken()], modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}
    )
    message = answer.choices[0].message
    assert (message.role, message.content, answer.choices[0].finish_reason) == ("assistant", SAID, "stop")
    assert (answer.object, answer.model, answer.usage.total_tokens) == ("chat.completion", "emosds", 144)
    assert answer.x_emotion == {"user": "sad", "reply": "neutral"}
    assert answer.x_transcript == HEARD
    assert message.audio.transcript == SAID
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(message.audio.data)))
    assert rate_hz == 24_000
    assert 1 < len(samples) / rate_hz < 6
    assert service.spoken[0].emotion == "neutral"


def test_words_alone_are_the_default(stock, service, spoken) -> None:
    message = stock.chat.completions.create(model="default", messages=[spoken()]).choices[0].message
    assert (message.content, message.audio) == (SAID, None)
    assert not service.spoken


def test_a_stream_brings_emotions_words_and_sound(stock, spoken) -> None:
    chunks = list(
        stock.chat.completions.create(
            model="emosds",
            messages=[spoken()],
            modalities=["text", "audio"],
            audio={"voice": "echo", "format": "pcm16"},
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *told, usage = chunks
    deltas = [c.choices[0].delta for c in told]
    assert deltas[0].role == "assistant"
    words = [d.content for d in deltas if d.content]
    assert len(words) > 1
    assert "".join(words) == SAID
    assert "".join(getattr(c, "x_transcript_delta", "") for c in told).strip() == HEARD
    emotions = [c.x_emotion for c in told if hasattr(c, "x_emotion")]
    assert emotions[0] == {"user": "sad", "reply": None}, "known before the reply is begun"
    assert emotions[-1] == {"user": "sad", "reply": "neutral"}
    sound = [d.to_dict()["audio"] for d in deltas if getattr(d, "audio", None)]
    data = [part["data"] for part in sound if "data" in part]
    pcm = b"".join(base64.b64decode(part) for part in data)
    assert len(pcm) > 2 * 24_000
    assert base64.b64decode("".join(data)) == pcm, "parts may also be joined before they are decoded"
    assert sound[0]["transcript"] == SAID
    assert (told[-1].choices[0].finish_reason, told[-1].x_transcript) == ("stop", HEARD)
    assert (usage.choices, usage.usage.completion_tokens) == ([], 24)
    assert len({c.id for c in chunks}) == 1


def test_a_stream_ends_as_the_protocol_has_it(client, spoken) -> None:
    response = client.post(PATH, json={"messages": [spoken()], "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = response.text.rstrip("\n").split("\n\n")
    assert lines[-1] == "data: [DONE]"
    assert all(json.loads(line.removeprefix("data: "))["object"] == "chat.completion.chunk" for line in lines[:-1])


def test_the_stock_helper_puts_a_stream_together(stock, spoken) -> None:
    with stock.chat.completions.stream(model="emosds", messages=[spoken()]) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == SAID


def test_history_comes_with_its_emotions(client, engine, spoken) -> None:
    messages = [
        {"role": "system", "content": "You are a pirate."},
        {"role": "user", "content": "dropped: the model reads three turns"},
        {"role": "assistant", "content": "Did you catch it?", "x_emotion": "happy"},
        {"role": "user", "content": [{"type": "text", "text": "<sadness> No."}]},
        {"role": "assistant", "content": None, "audio": {"id": "audio_1", "transcript": "Oh."}, "x_emotion": "<surprise>"},
        spoken(),
    ]
    assert client.post(PATH, json={"messages": messages}).status_code == 200
    assert engine.asked[0].history == (
        Turn(ASSISTANT, "Did you catch it?", "happy"),
        Turn(USER, "No.", "sad"),
        Turn(ASSISTANT, "Oh.", "surprised"),
    )


def test_a_conversation_goes_on_with_the_messages_as_they_came(stock, engine, spoken) -> None:
    first = stock.chat.completions.create(
        model="emosds", messages=[spoken()], modalities=["text", "audio"], audio={"voice": "alloy", "format": "mp3"}
    )
    told = {"role": "user", "content": first.x_transcript, "x_emotion": first.x_emotion["user"]}
    stock.chat.completions.create(model="emosds", messages=[told, first.choices[0].message, spoken()])
    assert engine.asked[1].history == (Turn(USER, HEARD, "sad"), Turn(ASSISTANT, SAID, "neutral"))


def test_a_turn_that_was_spoken_and_comes_without_words_is_heard_again(client, engine, spoken) -> None:
    messages = [spoken(), {"role": "assistant", "content": "Oh."}, spoken()]
    assert client.post(PATH, json={"messages": messages}).status_code == 200
    assert [q.replies for q in engine.asked] == [False, True]
    assert engine.asked[1].history[0] == Turn(USER, HEARD, "sad")


def test_sampling_is_what_was_asked_for(client, engine, spoken) -> None:
    asked = {"messages": [spoken()], "temperature": 0.7, "top_p": 0.9, "seed": -5, "max_completion_tokens": 40, "max_tokens": 90}
    for extra in ({}, {"seed": None}):
        client.post(PATH, json=asked | extra)
    first, second = engine.asked
    assert (first.generation.temperature, first.generation.top_p, first.generation.max_new_tokens, first.seed) == (0.7, 0.9, 40, -5)
    assert first.generation.constrained
    assert second.seed != -5
    client.post(PATH, json={"messages": [spoken()], "top_p": 0.3, "seed": 3})
    client.post(PATH, json={"messages": [spoken()]})
    assert engine.asked[2].generation == engine.asked[3].generation, "without a temperature nothing is drawn: one batch for all"


def test_an_answer_cut_short_says_so(stock, spoken) -> None:
    assert stock.chat.completions.create(model="emosds", messages=[spoken()], max_tokens=1).choices[0].finish_reason == "length"


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "opus", "aac"])
def test_replies_are_spoken_in_many_formats(client, spoken, kind: str) -> None:
    asked = {"messages": [spoken()], "modalities": ["text", "audio"], "audio": {"voice": {"id": "onyx"}, "format": kind}}
    data = base64.b64decode(client.post(PATH, json=asked).json()["choices"][0]["message"]["audio"]["data"])
    samples, rate_hz = decode(data)
    assert 1 < samples.shape[1] / rate_hz < 6


def test_recordings_may_be_data_urls(client, engine, wav, voice) -> None:
    url = "data:audio/wav;base64," + base64.b64encode(wav(voice(1.5))).decode()
    content = [{"type": "text", "text": "What is in this recording?"}, {"type": "input_audio", "input_audio": {"data": url}}]
    assert client.post(PATH, json={"messages": [{"role": "user", "content": content}]}).status_code == 200
    assert len(engine.asked[0].samples) == pytest.approx(24_000)


def bad_requests() -> dict[str, tuple[dict[str, object], str, str]]:
    long = np.zeros(31 * 16_000, np.float32)
    sink = io.BytesIO()
    soundfile.write(sink, long, 16_000, format="WAV")

    def recording(data: object) -> list[dict[str, object]]:
        return [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": data}}]}]

    noise = base64.b64encode(b"no sound " * 50).decode()
    return {
        "nothing": ({}, "messages", "invalid_request"),
        "no messages": ({"messages": []}, "messages", "invalid_request"),
        "words alone": ({"messages": [{"role": "user", "content": "hello"}]}, "messages.0.content", "no_speech"),
        "an assistant last": ({"messages": [{"role": "assistant", "content": "hello"}]}, "messages.0.content", "no_speech"),
        "no base64": ({"messages": recording("%%%")}, "messages.0.content", "audio_not_base64"),
        "no audio": ({"messages": recording(noise)}, "messages.0.content", "audio_not_audio"),
        "empty": ({"messages": recording("")}, "messages.0.content", "audio_empty"),
        "too long": ({"messages": recording(base64.b64encode(sink.getvalue()).decode())}, "messages.0.content", "audio_too_long"),
        "a number": ({"messages": recording(5)}, "messages.0.content.parts.0.input_audio.data", "invalid_request"),
        "an image": (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages.0.content.parts.0.type",
            "invalid_request",
        ),
        "a part without its content": (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages.0.content.parts.0",
            "invalid_request",
        ),
        "an unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "invalid_request"),
        "an unknown emotion": (
            {"messages": [{"role": "user", "content": "x", "x_emotion": "joyous"}]},
            "messages.0.x_emotion",
            "invalid_request",
        ),
        "a long message": (
            {"messages": [{"role": "assistant", "content": "x" * 5000}, *recording("")]},
            "messages.0.content",
            "message_too_long",
        ),
        "many messages": ({"messages": [{"role": "user", "content": "x"}] * 201}, "messages", "too_many_messages"),
        "two answers": ({"messages": recording(""), "n": 2}, "n", "invalid_request"),
        "hot": ({"messages": recording(""), "temperature": 9}, "temperature", "invalid_request"),
        "tools": ({"messages": recording(""), "tools": [{"type": "function"}]}, "body", "invalid_request"),
        "an unknown model": ({"messages": recording(""), "model": "gpt-4o"}, "model", "model_not_found"),
        "an unknown voice": (
            {"messages": recording(""), "modalities": ["audio"], "audio": {"voice": "hal", "format": "wav"}},
            "audio.voice",
            "voice_not_found",
        ),
        "an unknown format": (
            {"messages": recording(""), "audio": {"voice": "alloy", "format": "midi"}},
            "audio.format",
            "invalid_request",
        ),
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", bad_requests())
def test_wrong_requests_are_refused_by_name(client, engine, case: str, stream: bool) -> None:
    body, param, code = bad_requests()[case]
    response = client.post(PATH, json=body | {"stream": stream})
    assert response.status_code in (400, 404), response.text
    error = response.json()["error"]
    assert (error["param"], error["code"]) == (param, code), error
    assert error["message"]
    assert not engine.asked, "the model was not bothered"


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'"x"', b"null", b"\xff\xfe", b'{"messages": NaN}'])
def test_bodies_that_are_no_request_are_refused(client, body: bytes) -> None:
    response = client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_form_is_told_what_was_wanted(client) -> None:
    assert "application/json" in client.post(PATH, data={"messages": "x"}).json()["error"]["message"]


def test_the_stock_client_raises_its_own_errors(stock, spoken) -> None:
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-4o'"):
        stock.chat.completions.create(model="gpt-4o", messages=[spoken()])
    with pytest.raises(openai.BadRequestError, match="wanted one part of type input_audio"):
        stock.chat.completions.create(model="emosds", messages=[{"role": "user", "content": "hello"}])


def test_a_model_that_only_hears_does_not_chat(client_of, spoken) -> None:
    response = client_of(InProcess(ScriptedEngine(replies=False))).post(PATH, json={"messages": [spoken()]})
    assert response.json()["error"]["code"] == "model_does_not_reply"


class Failing(InProcess):
    """Fails in the middle of an answer."""

    def __init__(self, error: Exception, after: int) -> None:
        super().__init__(ScriptedEngine())
        self.error, self.after = error, after

    async def stream(self, question):
        async for item in super().stream(question):
            self.after -= 1
            if self.after < 0:
                raise self.error
            yield item


def test_an_error_before_the_first_word_has_a_status(client_of, spoken) -> None:
    from rapport.core.errors import RapportError

    client = client_of(Failing(RapportError("the recording is too long"), 0))
    response = client.post(PATH, json={"messages": [spoken()], "stream": True})
    assert (response.status_code, response.json()["error"]["message"]) == (400, "the recording is too long")


def test_an_error_in_the_middle_of_a_stream_is_an_event(client_of, spoken) -> None:
    client = client_of(Failing(RuntimeError("secret path /home/me"), 3))
    stock = openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=client, max_retries=0)
    stream = iter(stock.chat.completions.create(model="emosds", messages=[spoken()], stream=True))
    assert next(stream).choices[0].delta.role == "assistant"
    with pytest.raises(openai.APIError, match="an error of the server"):
        list(stream)
    assert "secret" not in client.post(PATH, json={"messages": [spoken()], "stream": True}).text


def test_a_slow_answer_is_given_up(client_of, spoken) -> None:
    import asyncio

    class Slow(InProcess):
        async def reply(self, question):
            await asyncio.sleep(30)

        async def stream(self, question):
            await asyncio.sleep(30)
            yield

    client = client_of(Slow(ScriptedEngine()), DialogueSettings(requests=RequestLimits(request_timeout_s=0.05)))
    for stream in (False, True):
        response = client.post(PATH, json={"messages": [spoken()], "stream": stream})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "timeout")
