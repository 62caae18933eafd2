"""Services that have nothing to say: for looking at the interface alone."""

from rapport.serve_apps.conversation_emotion.answers import NoService as NoConversations
from rapport.serve_apps.http.errors import ApiError
from rapport.serve_apps.listener.answers import NoService as NoMotion
from rapport.serve_apps.live_dialogue.graph import Present, Services
from rapport.serve_apps.realtime.parts import HeadFeed
from rapport.serve_apps.speech_emotion.answers import NoService as NoEmotion
from rapport.serve_apps.spoken_dialogue.answers import NoService as NoDialogue


def no_services() -> Services:
    """All parts by name, none that answers."""
    return Services(NoEmotion(), NoDialogue(), NoMotion(), NoConversations(), _no_head, Present())


async def _no_head(rate_hz: float | None, seed: int | None) -> HeadFeed:
    raise ApiError(503, "there is no model here")
