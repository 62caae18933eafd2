"""Requests that nobody would send: each is answered or refused, none is an accident of the server, and others notice nothing."""

import hashlib
import random
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
import schemathesis
from hypothesis import strategies
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from starlette.testclient import TestClient

from rapport.core.audio import encode_wav
from rapport.serve_apps.live_dialogue.graph import Services

KEY = "opensesame"
ALLOWED = {"Authorization": f"Bearer {KEY}"}
FORMS = {"/v1/audio/emotions": {}, "/v1/audio/transcriptions": {"model": "emosds"}, "/v1/audio/head-motion": {}}
REFUSED = {400, 401, 403, 404, 405, 406, 408, 413, 415, 422, 429}

many = pytest.mark.parametrize("count", [120, pytest.param(10_000, marks=pytest.mark.faults)])


def ask(client: TestClient, wav: bytes) -> list[dict[str, Any]]:
    answers = [client.post(path, files={"file": ("a.wav", wav)}, data=data, headers=ALLOWED) for path, data in FORMS.items()]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    return [answer.json() for answer in answers]


@pytest.fixture
def wav(voice: Callable[..., np.ndarray]) -> bytes:
    return encode_wav(voice(0.6), 16_000)


@many
def test_what_the_document_allows_and_what_it_does_not(
    services: Services, client_of: Callable[..., TestClient], wav: bytes, count: int
) -> None:
    # With a key: without one, only this computer's own names are answered, and schemathesis calls by another.
    client = client_of(services, key_digest=hashlib.sha256(KEY.encode()).hexdigest())
    before = ask(client, wav)
    schema = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    seen: dict[int, int] = {}

    for operation in operations:
        right, wrong = (operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))

        @hypothesis.settings(
            max_examples=-(-count // len(operations)), deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
        )
        @hypothesis.seed(3)
        @hypothesis.given(case=strategies.one_of(right, wrong))
        def send(case: schemathesis.Case) -> None:
            answer = case.call(headers=ALLOWED)
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            # There is no model for conversations here, which is told as 404 or 503.
            assert answer.status_code < 500 or answer.status_code == 503, (answer.status_code, answer.content[:300], case.as_curl_command())
            assert b"Traceback" not in answer.content

        send()
    print(f"answers by status: {dict(sorted(seen.items()))}")
    assert sum(number for status, number in seen.items() if status in REFUSED) > sum(seen.values()) / 10
    assert ask(client, wav) == before


@many
def test_recordings_with_wrong_bytes(services: Services, client_of: Callable[..., TestClient], wav: bytes, count: int) -> None:
    client, draw = client_of(services), random.Random(2)
    before = ask(client, wav)
    seen: dict[int, int] = {}
    for number in range(count):
        damaged = bytearray(wav[: draw.randrange(12, len(wav))] if number % 3 == 0 else wav)
        for _ in range(draw.randrange(1, 8)):
            place = draw.randrange(min(len(damaged), 64 if number % 2 else len(damaged)))
            damaged[place] = draw.randrange(256)
        path = draw.choice(sorted(FORMS))
        answer = client.post(path, files={"file": ("a.wav", bytes(damaged))}, data=FORMS[path], headers=ALLOWED)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code in {200, *REFUSED}, (answer.status_code, answer.text[:300], bytes(damaged[:64]))
    print(f"answers by status: {dict(sorted(seen.items()))}")
    assert {200, 400} <= set(seen)
    assert ask(client, wav) == before
