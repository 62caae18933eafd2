"""Pages that need nothing from elsewhere."""

import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rapport.core.emotions import EMOTIONS
from rapport.serve_apps.http.pages import add_pages

HEAD = {"head.js": "function headPainter() {}", "head.json": "{}"}
ELSEWHERE = {"listener": HEAD, "companion": HEAD}


@pytest.fixture(params=["companion", "speech_emotion", "spoken_dialogue", "listener", "conversation_emotion"])
def client(request: pytest.FixtureRequest) -> TestClient:
    app = FastAPI(docs_url=None, redoc_url=None)
    add_pages(app, request.param, ELSEWHERE.get(request.param))
    return TestClient(app)


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_need_nothing_from_elsewhere(client: TestClient, page: str) -> None:
    response = client.get(page)
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="([^"]+)"', response.text)
    assert links
    for link in links:
        assert "//" not in link
        assert client.get(f"/{link}").status_code == 200, link


def test_scripts_load_only_each_other(client: TestClient) -> None:
    todo = re.findall(r'script type="module" src="assets/([\w.]+)"', client.get("/").text)
    seen = set()
    while todo:
        name = todo.pop()
        script = client.get(f"/assets/{name}")
        assert script.status_code == 200, name
        assert script.headers["content-type"].startswith("text/javascript")
        assert "http://" not in script.text.replace("http://localhost", "").replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r'fetch\("(?!assets/|v1/)', script.text)
        seen.add(name)
        todo += [other for other in re.findall(r'from "\./([\w.]+)"', script.text) if other not in seen]
    assert "page.js" in seen
    assert seen & {"connection.js", "recording.js", "stream.js", "events.js"}
    assert set(client.get("/assets/colours.json").json()) >= set(EMOTIONS)


def test_every_element_that_a_script_names_is_on_its_page(client: TestClient) -> None:
    page = client.get("/").text
    (main,) = re.findall(r'script type="module" src="assets/([\w.]+)"', page)
    loaded = re.findall(r'from "\./([\w.]+)"', client.get(f"/assets/{main}").text)
    for name in (main, *loaded):
        for element in re.findall(r'(?:\$|show)\("([\w-]+)"', client.get(f"/assets/{name}").text):
            assert f'id="{element}"' in page, (name, element)
