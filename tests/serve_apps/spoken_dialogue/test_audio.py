"""Transcriptions and speech, as the stock OpenAI client asks for them."""

import hashlib
import io

import numpy as np
import openai
import pytest
import soundfile

from rapport.core.audio import decode, rms_db
from rapport.core.emotions import EMOTIONS
from rapport.core.sound_files import FORMATS
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.spoken_dialogue.settings import DialogueSettings
from tests.serve_apps.spoken_dialogue.conftest import HEARD

SPEECH, WORDS = "/v1/audio/speech", "/v1/audio/transcriptions"


def test_a_recording_is_written_down_with_its_emotion(stock, wav, voice) -> None:
    found = stock.audio.transcriptions.create(model="emosds", file=("clip.wav", wav(voice(1.0))))
    assert (found.text, found.x_emotion) == (HEARD, "sad")


def test_the_transcriber_answers_for_its_own_model(stock, wav, voice) -> None:
    found = stock.audio.transcriptions.create(model="asr", file=("clip.wav", wav(voice(1.0))))
    assert (found.text, found.x_emotion) == ("kids are talking by the door", None)


def test_a_long_recording_is_heard_in_pieces(client, engine, wav, voice) -> None:
    talk = np.concatenate([part for seed in range(4) for part in (voice(8.0, seed), np.zeros(16_000, np.float32))])
    answer = client.post(WORDS, files={"file": ("talk.wav", wav(talk))}, data={"response_format": "verbose_json"}).json()
    assert [round(s["end"]) for s in answer["segments"]][-1] == 36
    assert len(answer["segments"]) >= 3
    assert answer["duration"] == pytest.approx(36, abs=0.01)
    assert answer["text"] == " ".join([HEARD] * len(engine.asked))
    assert all(len(q.samples) <= 12 * 16_000 and not q.replies for q in engine.asked)


def test_transcriptions_come_in_openais_shapes(stock, client, wav, voice) -> None:
    file = ("clip.wav", wav(voice(1.25)))
    verbose = stock.audio.transcriptions.create(model="emosds", file=file, response_format="verbose_json", language="en")
    assert (verbose.duration, verbose.language, verbose.segments[0].end) == (1.25, "en", 1.25)
    assert stock.audio.transcriptions.create(model="emosds", file=file, response_format="text") == f"{HEARD}\n"
    srt, vtt = (client.post(WORDS, files={"file": file}, data={"response_format": kind}).text for kind in ("srt", "vtt"))
    assert srt == f"1\n00:00:00,000 --> 00:00:01,250\n{HEARD}\n\n"
    assert vtt.startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.250\n")


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "pcm"])
def test_text_is_spoken_in_many_formats(stock, kind) -> None:
    spoken = stock.audio.speech.create(model="tts", voice="nova", input="We finally won a match!", response_format=kind)
    samples, rate_hz = decode(spoken.content)
    assert 0.8 < samples.shape[1] / rate_hz < 4
    assert rms_db(samples) > -45


def test_raw_samples_are_those_of_the_file(client) -> None:
    ask = {"input": "Hello there."}
    pcm = client.post(SPEECH, json=ask | {"response_format": "pcm"})
    file, _ = soundfile.read(io.BytesIO(client.post(SPEECH, json=ask | {"response_format": "wav"}).content), dtype="int16")
    assert pcm.headers["content-type"] == "audio/L16; rate=24000; channels=1"
    assert np.array_equal(np.frombuffer(pcm.content, "<i2"), file)


def test_speech_takes_an_emotion_its_strength_and_a_tempo(client) -> None:
    def say(**how: object) -> np.ndarray:
        response = client.post(SPEECH, json={"input": "The parcel is on the table.", "response_format": "wav", **how})
        assert response.status_code == 200, response.text
        return decode(response.content)[0][0]

    plain = say()
    assert np.array_equal(plain, say()), "the same request gives the same samples"
    assert rms_db(say(x_emotion="angry")) > rms_db(plain) + 6
    assert rms_db(say(x_emotion="<anger>", x_strength=0)) == pytest.approx(rms_db(plain), abs=0.5)
    assert len(say(speed=2.0)) < 0.7 * len(plain)
    for emotion in EMOTIONS:
        say(x_emotion=emotion)


def test_voices_have_names_of_their_own_and_of_openai(client) -> None:
    voices = client.get("/v1/models/tts").json()["voices"]
    assert {"alloy", "cedar", "en-us+f1", "en-us+m7"} <= set(voices)
    spoken = [client.post(SPEECH, json={"input": "Hello.", "voice": name}).content for name in ("alloy", "echo", "en-us+f1")]
    assert spoken[0] != spoken[1]
    assert spoken[0] == spoken[2]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": "x" * 5000}, "input"),
        ({"input": "x", "voice": "hal"}, "voice"),
        ({"input": "x", "x_emotion": "joyous"}, "x_emotion"),
        ({"input": "x", "response_format": "midi"}, "response_format"),
        ({"input": "x", "speed": 9}, "speed"),
        ({"input": "x", "model": "gpt"}, "model"),
    ],
)
def test_wrong_speech_requests_are_refused_by_name(client, body, param) -> None:
    response = client.post(SPEECH, json=body)
    assert response.status_code in (400, 404)
    assert response.json()["error"]["param"] == param


def test_text_may_hold_anything(client) -> None:
    for text in ("<sadness> <speak>&amp;</speak> [[hello]]", "é ø 漢字 🎉 \x00\x1b", "-" * 4096, "1e999"):
        assert client.post(SPEECH, json={"input": text, "response_format": "wav"}).status_code == 200


@pytest.mark.parametrize(
    ("file", "form", "param", "code"),
    [
        (b"no sound " * 50, {}, "file", "audio_not_audio"),
        (b"", {}, "file", "audio_empty"),
        (None, {"response_format": "pdf"}, "response_format", "invalid_request"),
        (None, {"model": "whisper-9"}, "model", "model_not_found"),
    ],
)
def test_wrong_transcription_requests_are_refused_by_name(client, wav, voice, file, form, param, code) -> None:
    data = wav(voice(1.0)) if file is None else file
    error = client.post(WORDS, files={"file": ("clip.wav", data)}, data=form).json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert client.post(WORDS, json={"file": "x"}).json()["error"]["message"].endswith("wanted multipart/form-data)")


def test_models_are_listed_as_openai_does(stock, client) -> None:
    assert [m.id for m in stock.models.list()] == ["emosds", "tts", "asr"]
    assert stock.models.retrieve("emosds").emotions == ["angry", "happy", "neutral", "sad", "surprised"]
    assert client.get("/v1/models/gpt").json()["error"]["code"] == "model_not_found"


def test_health_goes_through_the_model(client, client_of, engine, service) -> None:
    assert client.get("/healthz").json()["model"] == "emosds"
    assert engine.asked[0].generation.max_new_tokens == 8

    async def broken(question):
        raise RuntimeError("secret")

    service.reply = broken
    response = client_of(service).get("/healthz")
    assert response.status_code == 503
    assert "secret" not in response.text


def test_a_key_guards_all_but_the_pages(service, client_of) -> None:
    client = client_of(service, key_digest=hashlib.sha256(b"opensesame").hexdigest())
    for path in ("/v1/chat/completions", WORDS, SPEECH):
        assert client.post(path, json={}).status_code == 401
    assert client.get("/v1/models").status_code == 401
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/assets/talk.js"):
        assert client.get(path).status_code == 200, path
    stock = openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="opensesame", http_client=client)
    assert stock.models.retrieve("tts").to_dict()["voices"]
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="wrong", http_client=client).models.list()


def test_a_body_too_large_is_refused(service, client_of) -> None:
    client = client_of(service, DialogueSettings(requests=RequestLimits(max_upload_mib=0.01)))
    for path in ("/v1/chat/completions", SPEECH):
        response = client.post(path, json={"input": "x" * 20_000})
        assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
