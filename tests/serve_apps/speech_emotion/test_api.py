"""The speech emotion endpoints, in this process, with a small model."""

import asyncio
import hashlib

import numpy as np
import pytest
from starlette.testclient import TestClient

from rapport.core.audio import load_speech
from rapport.core.emotions import SER_EMOTIONS
from rapport.serve_apps.http.settings import RequestLimits
from rapport.serve_apps.speech_emotion.api import build_api
from rapport.serve_apps.speech_emotion.settings import EmotionSettings

PATH = "/v1/audio/emotions"


def client_of(service, settings: EmotionSettings | None = None, **options) -> TestClient:
    return TestClient(build_api(service, settings or EmotionSettings(), **options), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def client(service) -> TestClient:
    return client_of(service, transcribes=True)


def upload(client: TestClient, data: bytes, path: str = PATH, field: str = "file", **form: object):
    return client.post(path, files={field: ("clip.wav", data)}, data=form)


def test_a_clip_gets_the_answer_of_the_predictor(client, predictor, voice, wav) -> None:
    data = wav(voice(2.2, seed=1))
    answer = upload(client, data).json()
    speech = load_speech(data)
    expected = predictor.predict([speech.samples])[0]
    assert answer["emotion"] == expected.emotion
    assert answer["scores"] == pytest.approx(expected.scores, abs=1e-6)
    assert list(answer["scores"]) == list(SER_EMOTIONS)
    assert answer["duration_s"] == pytest.approx(2.2)
    assert answer["model"] == "ser"
    assert answer["text"] is None


def test_the_timeline_is_that_of_the_predictor(client, predictor, voice, wav) -> None:
    data = wav(voice(4.0, seed=2))
    answer = upload(client, data, hop_s=0.5).json()
    expected = predictor.timeline(load_speech(data).samples, hop_s=0.5, smoothing_s=0)
    assert [(w["start_s"], w["end_s"]) for w in answer["windows"]] == [(m.start_s, m.end_s) for m in expected]
    assert answer["windows"][0]["end_s"] == predictor.window_s
    assert answer["windows"][-1]["end_s"] == answer["duration_s"], "nothing is left out at the end"
    for window, moment in zip(answer["windows"], expected, strict=True):
        assert window["scores"] == pytest.approx(moment.scores, abs=1e-6)


def test_windows_can_be_chosen_or_left_out(client, voice, wav) -> None:
    data = wav(voice(4.0))
    assert upload(client, data, timeline="false").json()["windows"] == []
    assert [w["start_s"] for w in upload(client, data, window_s=2, hop_s=1).json()["windows"]] == [0, 1, 2]
    assert len(upload(client, wav(voice(0.5))).json()["windows"]) == 1


def test_words_come_when_asked_for(client, service, voice, wav) -> None:
    data = wav(voice(1.0))
    assert upload(client, data, transcribe="true").json()["text"] == "kids are talking by the door"
    refused = upload(client_of(service, transcribes=False), data, transcribe="true")
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "transcribe"


def test_words_of_a_long_clip_are_refused_but_not_its_emotion(service, voice, wav) -> None:
    client = client_of(service, EmotionSettings(max_transcribe_s=1.0), transcribes=True)
    data = wav(voice(1.5))
    assert upload(client, data, transcribe="true").json()["error"]["code"] == "too_long_to_transcribe"
    assert upload(client, data).status_code == 200
    assert upload(client, data, "/analyze").json()["transcription"] == ""


@pytest.mark.parametrize("name", ["testing.m4a", "perfect-alley1.ogg", "stereo_24bit.WAV"])
def test_many_formats_are_read(client, shared_data, name: str) -> None:
    response = upload(client, (shared_data / "audio_formats" / name).read_bytes())
    assert response.status_code == 200, response.text


def bad_clips() -> dict[str, tuple[str, np.ndarray | bytes, dict[str, object]]]:
    noise = np.random.default_rng(0).normal(0, 0.1, (16_000, 6)).astype(np.float32)
    broken = noise[:, 0].copy()
    broken[100] = np.nan
    return {
        "not audio": ("not_audio", b"hello " * 100, {}),
        "empty": ("empty", b"", {}),
        "no samples": ("no_samples", np.zeros(0, np.float32), {}),
        "ten minutes": ("too_long", np.zeros(600 * 8000, np.int16), {"rate_hz": 8000}),
        "an hour in a few kB": ("too_long", np.zeros(3700 * 8000, np.int16), {"rate_hz": 8000, "format": "FLAC"}),
        "six channels": ("channels", noise, {}),
        "NaN": ("not_finite", broken, {"subtype": "FLOAT"}),
        "silence": ("silent", np.zeros(16_000, np.float32), {}),
        "a blink": ("too_short", noise[:320, 0], {}),
        "a pointer": ("lfs_pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", {}),
    }


@pytest.mark.parametrize("case", bad_clips())
def test_unusable_audio_is_refused_by_name(client, wav, case: str) -> None:
    reason, content, how = bad_clips()[case]
    response = upload(client, content if isinstance(content, bytes) else wav(content, **how))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"], error["type"]) == (f"audio_{reason}", "file", "invalid_request_error")
    assert error["message"]


def test_a_clip_too_long_is_told_the_limit(client, wav) -> None:
    message = upload(client, wav(np.zeros(600 * 8000, np.int16), rate_hz=8000)).json()["error"]["message"]
    assert "300" in message
    assert "600" in message


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"hop_s": "0"}, "hop_s"),
        ({"hop_s": "nan"}, "hop_s"),
        ({"window_s": "1000"}, "window_s"),
        ({"timeline": "perhaps"}, "timeline"),
        ({"model": "gpt"}, "model"),
    ],
)
def test_wrong_settings_are_named(client, voice, wav, form: dict[str, str], param: str) -> None:
    response = upload(client, wav(voice(1.0)), **form)
    assert response.status_code in (400, 404)
    assert response.json()["error"]["param"] == param


def test_a_missing_file_is_named(client, voice, wav) -> None:
    data = wav(voice(1.0))
    for response in (upload(client, data, field="sound"), client.post(PATH), client.post(PATH, json={"file": "x"})):
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "file"
    assert "application/json" in client.post(PATH, json={"file": "x"}).json()["error"]["message"]


def test_an_answer_has_a_bounded_number_of_windows(service, voice, wav) -> None:
    client = client_of(service, EmotionSettings(max_windows=10))
    response = upload(client, wav(voice(4.0)), hop_s=0.05)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "too_many_windows"
    assert upload(client, wav(voice(4.0)), hop_s=0.5).status_code == 200


def test_models_are_listed_as_openai_does(client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    (card,) = listed["data"]
    assert (card["id"], card["object"], card["owned_by"]) == ("ser", "model", "rapport")
    assert card["emotions"] == list(SER_EMOTIONS)
    assert client.get("/v1/models/ser").json() == card
    assert client.get("/v1/models/gpt").json()["error"]["code"] == "model_not_found"


class Broken:
    async def analyse(self, samples, window_s, hop_s):
        raise RuntimeError("secret path /home/me")

    async def transcribe(self, samples):
        raise RuntimeError("secret path /home/me")

    async def facts(self):
        raise RuntimeError("secret path /home/me")


def test_health_goes_through_the_model(client, voice, wav) -> None:
    healthy = client.get("/healthz").json()
    assert healthy["status"] == "ok"
    assert healthy["latency_ms"] > 0
    assert client_of(Broken()).get("/healthz").status_code == 503


def test_a_broken_model_shows_nothing_of_itself(voice, wav) -> None:
    response = upload(client_of(Broken()), wav(voice(1.0)))
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["error"]["type"] == "server_error"


def test_a_slow_model_is_given_up(service, voice, wav) -> None:
    class Slow:
        async def analyse(self, samples, window_s, hop_s):
            await asyncio.sleep(30)

        async def transcribe(self, samples):
            raise NotImplementedError

        async def facts(self):
            return await service.facts()

    settings = EmotionSettings(requests=RequestLimits(request_timeout_s=0.05))
    response = upload(client_of(Slow(), settings), wav(voice(1.0)))
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "timeout"
    assert response.headers["retry-after"] == "1"


def test_both_earlier_routes_still_answer(client, predictor, voice, wav) -> None:
    data = wav(voice(1.5, seed=3))
    expected = predictor.predict([load_speech(data).samples])[0]
    first = upload(client, data, "/inference", "audio").json()
    assert first["emotion"] == expected.emotion.capitalize()
    assert first["emotion_probs"] == pytest.approx(list(expected.scores.values()), abs=1e-4)
    assert first["text"] == "kids are talking by the door"
    second = upload(client, data, "/analyze").json()
    assert second["predicted_emotion"] == expected.emotion.capitalize()
    assert second["emotion_scores"] == pytest.approx({e.capitalize(): s for e, s in expected.scores.items()}, abs=1e-4)


def test_earlier_routes_can_be_switched_off(service, voice, wav) -> None:
    client = client_of(service, EmotionSettings(compatibility_routes=False))
    assert upload(client, wav(voice(1.0)), "/inference", "audio").status_code == 404


def test_a_key_guards_all_but_the_pages(service, voice, wav) -> None:
    client = client_of(service, key_digest=hashlib.sha256(b"opensesame").hexdigest())
    data = wav(voice(1.0))
    assert upload(client, data).status_code == 401
    assert client.get("/v1/models").status_code == 401
    assert upload(client, data, "/inference", "audio").status_code == 401
    for open_path in ("/", "/docs", "/openapi.json", "/healthz", "/assets/emotion.js"):
        assert client.get(open_path).status_code == 200, open_path
    client.headers["Authorization"] = "Bearer opensesame"
    assert upload(client, data).status_code == 200
