"""Every error is an error object, and none shows the inside of the server."""

import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel
from starlette.testclient import TestClient

from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.http.guard import protect
from rapport.serve_apps.http.settings import RequestLimits


class Body(BaseModel):
    name: str


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the password is hunter2")

    @app.get("/refused")
    async def refused() -> None:
        raise ApiError(418, "no coffee here", code="teapot", param="beverage", headers={"X-Pot": "tea"})

    @app.get("/typed")
    async def typed(count: int = Query(ge=1)) -> int:
        return count

    @app.post("/body")
    async def body(body: Body) -> str:
        return body.name

    protect(app, RequestLimits(), key_digest=None)
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/refused", 405, "method_not_allowed"),
        ("GET", "/refused", 418, "teapot"),
        ("GET", "/typed?count=0", 400, "invalid_request"),
        ("GET", "/typed", 400, "invalid_request"),
        ("POST", "/body", 400, "invalid_request"),
        ("GET", "/broken", 500, "internal_error"),
    ],
)
def test_errors_have_one_shape(client: TestClient, method: str, path: str, status: int, code: str) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["message"]


def test_an_unforeseen_error_tells_nothing_about_the_server(client: TestClient) -> None:
    text = client.get("/broken", headers={"X-Request-ID": "abc"}).text
    assert "hunter2" not in text
    assert "Traceback" not in text
    assert "request abc" in text


def test_a_wrong_method_says_which_is_right(client: TestClient) -> None:
    response = client.post("/typed")
    assert response.headers["allow"] == "GET"
    assert "GET" in response.json()["error"]["message"]


def test_a_wrong_field_is_named(client: TestClient) -> None:
    error = client.get("/typed?count=-3").json()["error"]
    assert error["param"] == "count"
    assert "greater than or equal to 1" in error["message"]
    assert client.get("/refused").headers["x-pot"] == "tea"


def test_an_upload_is_not_echoed(client: TestClient) -> None:
    secret = "s3cret" * 100
    assert secret not in client.post("/body", json={"nome": secret}).text
