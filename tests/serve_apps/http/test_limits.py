"""Bodies that are too large or too slow, and too many requests at once."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request, UploadFile

from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.settings import RequestLimits


def app_with(**limits: float) -> FastAPI:
    app = FastAPI()

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.post("/form")
    async def form(file: UploadFile) -> int:
        return len(await file.read())

    @app.post("/wait")
    async def wait() -> str:
        await asyncio.sleep(0.2)
        return "done"

    @app.get("/look")
    async def look() -> str:
        return "here"

    protect(app, RequestLimits(**limits), key_digest=None)
    return app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FILE_BEGINS = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


async def chunks(count: int, seen: list[int], size: int = 2**16) -> AsyncIterator[bytes]:
    yield FILE_BEGINS
    for index in range(count):
        seen.append(index)
        yield bytes(size)


def test_a_declared_length_is_refused_before_reading() -> None:
    async def main() -> None:
        seen: list[int] = []
        async with client_of(app_with(max_upload_mib=1)) as client:
            headers = {"Content-Length": str(2**30)}
            response = await client.post("/size", content=chunks(4, seen), headers=headers)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "request_too_large"
        assert "1,073,741,824" in response.json()["error"]["message"]

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/size", "/form"])
def test_a_body_without_length_is_cut_at_the_limit(path: str) -> None:
    # httpx's in-process transport reads the request lazily, so what it has taken tells how much the app has read.
    async def main() -> None:
        seen: list[int] = []
        async with client_of(app_with(max_upload_mib=1)) as client:
            response = await client.post(path, content=chunks(10_000, seen), headers=FORM)
        assert response.status_code == 413
        assert response.json()["error"]["type"] == "invalid_request_error"
        assert len(seen) <= 20

    asyncio.run(main())


def test_a_body_of_just_the_limit_is_read() -> None:
    async def main() -> None:
        async with client_of(app_with(max_upload_mib=1)) as client:
            assert (await client.post("/size", content=bytes(2**20))).json() == 2**20
            assert (await client.post("/size", content=bytes(2**20 + 1))).status_code == 413

    asyncio.run(main())


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield FILE_BEGINS
        await asyncio.sleep(30)

    async def main() -> None:
        async with client_of(app_with(upload_timeout_s=0.1)) as client:
            response = await client.post("/form", content=never(), headers=FORM)
        assert response.status_code == 408
        assert response.json()["error"]["code"] == "request_timeout"

    asyncio.run(main())


def test_one_request_too_many_is_told_when_to_come_back() -> None:
    async def main() -> None:
        async with client_of(app_with(max_pending=2)) as client:
            responses = await asyncio.gather(*(client.post("/wait") for _ in range(5)), client.get("/look"))
            after = await client.post("/wait")
        statuses = [r.status_code for r in responses]
        assert sorted(statuses[:5]) == [200, 200, 429, 429, 429]
        assert statuses[5] == 200, "reading takes no place"
        refused = next(r for r in responses if r.status_code == 429)
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert after.status_code == 200, "places are given back"

    asyncio.run(main())
