"""What a reply may be, as a JSON schema: any words, and of items and scenes only what a turn allows."""

from typing import Any

from rapport.simulator.requests import JudgeRequest


def reply_schema(request: JudgeRequest, longest_text: int) -> dict[str, Any]:
    """The schema of a reply to a request: an offered item or null, a legal move or null, and texts of at most so many characters."""
    words = {"type": "string", "maxLength": longest_text}
    properties = {
        "response_text": words,
        "next_scene_id": {"enum": [*(identity for identity, _ in request.moves), None]},
        "next_scene_reason": {"anyOf": [words, {"type": "null"}]},
        "item_name": {"enum": [*request.offered, None]},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
