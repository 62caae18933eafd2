"""What clients of the endpoint for emotions in conversations send, and the question that it amounts to."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from rapport.models.erc.prompt import one_name
from rapport.serve_apps.conversation_emotion.answers import AskedDialogue, Question
from rapport.serve_apps.conversation_emotion.settings import ConversationSettings
from rapport.serve_apps.http.errors import ApiError


class Request(BaseModel):
    """Base of all requests: the sentence under a field is its description in the reference."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="ignore")


class Turn(Request):
    """What somebody says."""

    speaker: str = Field(min_length=1, max_length=100, examples=["Nora"])
    """Who says it."""
    text: str = Field(min_length=1, examples=["The van leaves in ten minutes."])
    """The words."""


class Dialogue(Request):
    """A conversation, oldest turn first."""

    turns: list[Turn] = Field(min_length=1)
    """What is said. A turn is judged by what came before it, never by what comes after."""
    dialogue_id: str | None = Field(default=None, max_length=200)
    """Comes back in the answer; the number of the dialogue in the request unless given."""
    personas: dict[str, str] | None = Field(default=None, examples=[{"Nora": "an impatient line cook."}])
    """Speaker to a short description of them."""
    scene: str | None = Field(default=None, examples=["a flat on moving day."])
    """The place and the occasion, in a line."""
    turns_wanted: list[StrictInt] | None = Field(default=None, examples=[[1]])
    """Which turns to judge, counted from 0; all unless given. They come back in the order of the dialogue."""


class EmotionsRequest(Request):
    """Conversations whose turns are to be judged."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "coe",
                    "dialogues": [
                        {
                            "turns": [
                                {"speaker": "Nora", "text": "The van leaves in ten minutes."},
                                {"speaker": "Eli", "text": "I only packed the kettle."},
                            ],
                            "personas": {"Nora": "an impatient line cook.", "Eli": "her easy-going brother."},
                            "scene": "a flat on moving day.",
                        }
                    ],
                    "rationale": False,
                }
            ]
        }
    )

    dialogues: list[Dialogue] = Field(min_length=1)
    """The conversations."""
    model: str = Field(default="default", max_length=300)
    """A model of `GET /v1/models`: the model itself, or one of its adapters."""
    rationale: StrictBool | None = False
    """Also write reasons."""
    stream: StrictBool | None = False
    """Answer with server-sent events: emotions as they are found, reasons as they are written."""


def question_of(request: EmotionsRequest, adapter: str, settings: ConversationSettings) -> Question:
    """The question that a request asks. Raises ApiError (400), which names the field, for one beyond the limits."""
    _at_most(len(request.dialogues), settings.max_dialogues, "max_dialogues", "dialogues", "dialogues", code="too_many_dialogues")
    dialogues = tuple(_dialogue(d, f"dialogues.{number}", settings) for number, d in enumerate(request.dialogues))
    wanted = sum(len(d.turns) for d in dialogues)
    _at_most(wanted, settings.max_wanted, "max_wanted", "dialogues", "turns to judge", code="too_many_turns")
    if request.rationale:
        _at_most(wanted, settings.max_rationales, "max_rationales", "rationale", "turns to give reasons for", code="too_many_turns")
    return Question(dialogues, adapter, bool(request.rationale))


def _dialogue(dialogue: Dialogue, param: str, settings: ConversationSettings) -> AskedDialogue:
    _at_most(len(dialogue.turns), settings.max_turns, "max_turns", f"{param}.turns", "turns", code="too_many_turns")
    lines = []
    for number, turn in enumerate(dialogue.turns):
        where = f"{param}.turns.{number}"
        if not one_name(turn.speaker):
            raise ApiError(400, f"speaker is {turn.speaker!r}: wanted a name", param=f"{where}.speaker")
        if not turn.text.strip():
            raise ApiError(400, "the text is empty: wanted what is said", param=f"{where}.text")
        _short(turn.text, f"{where}.text", settings)
        lines.append((one_name(turn.speaker), turn.text))
    personas = dialogue.personas or {}
    _at_most(len(personas), settings.max_personas, "max_personas", f"{param}.personas", "personas", code="too_many_personas")
    for text in personas.values():
        _short(text, f"{param}.personas", settings)
    _short(dialogue.scene or "", f"{param}.scene", settings)
    people = {one_name(name): text for name, text in personas.items()}
    return AskedDialogue(tuple(lines), people, dialogue.scene or "", _wanted(dialogue, f"{param}.turns_wanted"))


def _wanted(dialogue: Dialogue, param: str) -> tuple[int, ...]:
    there = len(dialogue.turns)
    if dialogue.turns_wanted is None:
        return tuple(range(there))
    odd: Sequence[int] = [turn for turn in dialogue.turns_wanted if not 0 <= turn < there]
    if odd:
        raise ApiError(400, f"turn {odd[0]} is wanted and there are {there}, counted from 0", param=param, code="no_such_turn")
    return tuple(sorted(set(dialogue.turns_wanted)))


def _at_most(seen: int, limit: int, setting: str, param: str, what: str, *, code: str) -> None:
    if seen > limit:
        raise ApiError(400, f"there are {seen} {what}, the limit is {limit} ({setting})", param=param, code=code)


def _short(text: str, param: str, settings: ConversationSettings) -> None:
    if len(text) > settings.max_characters:
        seen = f"the text has {len(text):,} characters, the limit is {settings.max_characters:,} (max_characters)"
        raise ApiError(400, seen, param=param, code="text_too_long")
