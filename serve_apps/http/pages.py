"""The web page of an app and the reference at /docs, from files of this package alone: both work on a computer without internet."""

import json
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

from rapport.core.emotions import EMOTION_COLOURS

_WEB = Path(__file__).resolve().parents[1] / "web"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_pages(api: FastAPI, page: str, assets: Mapping[str, str] | None = None) -> frozenset[str]:
    """Add GET /, GET /docs and what they load, and name the paths that must be open to a browser without a key.

    `page` is a folder of `serve_apps/web` with an `index.html`; everything beside that is served under /assets,
    and so are `assets`, texts by file name that lie elsewhere.
    """
    contents = {"/": _read(_WEB / page / "index.html"), "/docs": _read(_WEB / "docs" / "docs.html")}
    for folder in ("shared", "docs", page):
        contents |= {f"/assets/{file.name}": _read(file) for file in sorted((_WEB / folder).iterdir()) if file.suffix != ".html"}
    contents["/assets/colours.json"] = json.dumps(dict(EMOTION_COLOURS)).encode(), _TYPES[".json"]
    for name, text in (assets or {}).items():
        contents[f"/assets/{name}"] = text.encode(), _TYPES[Path(name).suffix]
    for path, (content, media_type) in contents.items():
        _add(api, path, content, media_type)
    return frozenset(contents) | {str(api.openapi_url)}


def _read(file: Path) -> tuple[bytes, str]:
    return file.read_bytes(), _TYPES[file.suffix]


def _add(api: FastAPI, path: str, content: bytes, media_type: str) -> None:
    @api.api_route(path, methods=["GET", "HEAD"], include_in_schema=False)
    async def asset() -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)
