"""Answers that every app gives: models as OpenAI lists them, and health."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from rapport.serve_apps.http.errors import ErrorBody

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "Unusable audio (code `audio_<reason>`) or a wrong field."},
    401: {"model": ErrorBody, "description": "No key, or a wrong one."},
    413: {"model": ErrorBody, "description": "The body is larger than max_upload_mib."},
    429: {"model": ErrorBody, "description": "Too many requests under way; `Retry-After` says when to come back."},
    503: {"model": ErrorBody, "description": "The model did not answer in time."},
    "default": {"model": ErrorBody, "description": "Any other error."},
}
"""What the reference says about the errors of an endpoint that works on audio."""


class Answer(BaseModel):
    """Base of all answers: the sentence under a field is its description in the reference."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class PlainModelCard(Answer):
    """A model, as the OpenAI list has it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "rapport"


CardT = TypeVar("CardT", bound=PlainModelCard)


class ModelList(Answer, Generic[CardT]):
    """All models of this server."""

    object: Literal["list"] = "list"
    data: list[CardT]


class Health(Answer):
    """Something went through the model just now."""

    status: Literal["ok"] = "ok"
    model: str
    latency_ms: float = Field(examples=[7.4])
    """How long it took."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`ERRORS` of these statuses, and the default."""
    return {**{status: ERRORS[status] for status in statuses}, "default": ERRORS["default"]}
