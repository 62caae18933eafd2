"""`GET /v1/models` of every app, and what a request means that names a model."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter

from rapport.serve_apps.http.answers import CardT, ModelList, errors
from rapport.serve_apps.http.errors import ApiError

_ECHO, _NAMED = 100, 20


def find_id(name: str, ids: Iterable[str], *, known_as: Mapping[str, str], param: str | None = None) -> str:
    """The model that is meant by a name: one of `ids`, or a name in `known_as`. Raises ApiError (404) when there is none."""
    name, there = known_as.get(name, name), list(ids)
    if name not in there:
        some = ", ".join(there[:_NAMED]) + (f" and {len(there) - _NAMED} more" if len(there) > _NAMED else "")
        raise ApiError(404, f"no model {name[:_ECHO]!r} here: there is {some}", code="model_not_found", param=param)
    return name


def add_models(
    api: APIRouter, card: type[CardT], cards: Callable[[], Awaitable[Sequence[CardT]]], *, known_as: Mapping[str, str], tells: str
) -> None:
    """Answer the cards that `cards` finds, each of the class `card`, all and by id.

    `known_as` maps other names by which a model may be called to its id; `tells` says in a sentence what a card tells, for the reference.
    """
    refusals = errors(401, 503)
    listing: Any = ModelList[card]  # type: ignore[valid-type]  # a class that is known when the app is built

    @api.get("/v1/models", response_model=listing, responses=refusals, tags=["models"], summary="Models")
    async def models() -> Any:
        """The models of this server."""
        return listing(data=list(await cards()))

    @api.get("/v1/models/{model}", response_model=card, responses=refusals, tags=["models"], summary="One model", description=tells)
    async def one_model(model: str) -> Any:
        found = {found.id: found for found in await cards()}
        return found[find_id(model, found, known_as=known_as)]
