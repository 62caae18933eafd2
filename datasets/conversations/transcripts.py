"""Scenes of a television show from its full transcripts: the stage direction that stands before anybody speaks.

Source: https://github.com/emorynlp/character-mining, `json/friends_season_NN.json`, whose ids are those of EmoryNLP:

    {"season_id": "s01", "episodes": [{"episode_id": "s01_e01", "scenes": [{"scene_id": "s01_e01_c01", "utterances":
        [{"utterance_id", "speakers": [], "transcript": "", "transcript_with_note": "[Scene: Central Perk, everybody is there.]"}, ...]}]}]}

Directions that stand later in a scene tell what a line before them cannot know, and are not taken. EmoryNLP's scenes are found by id, those
of MELD by episode and by the words of their lines.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations.records import Conversations, key_of
from rapport.datasets.conversations.text import clean, words_of

FEWEST_WORDS = 4
"""A line must have that many for its words to find its scene: shorter ones stand in many."""

_FILE = re.compile(r"friends_season_\d+\.json")


@dataclass(frozen=True, slots=True)
class _Scene:
    scene_id: str
    note: str | None
    lines: frozenset[tuple[str, ...]]


def scenes_from_transcripts(found: Conversations, folder: str) -> dict[str, str]:
    """`<split>/<dialogue_id>` to the stage direction before its scene; scenes without one, and dialogues that are not found, are left out.

    Raises RapportError when the folder holds no transcript, or one that is none.
    """
    scenes: dict[str, list[_Scene]] = {}
    for known in _scenes(folder):
        scenes.setdefault(known.scene_id.rpartition("_")[0], []).append(known)
    texts = {}
    for conversation in found.conversations:
        key = key_of(conversation)
        candidates = scenes.get(found.origins.get(key, ""), [])
        scene: _Scene | None = next((s for s in candidates if s.scene_id == conversation.dialogue_id), None)
        if scene is None:
            lines = {words for line in conversation.lines if len(words := words_of(line.text)) >= FEWEST_WORDS}
            shared = Counter({s: len(lines & s.lines) for s in candidates}).most_common(1)
            scene = shared[0][0] if shared and shared[0][1] else None
        if scene is not None and scene.note:
            texts[key] = scene.note
    return texts


def _scenes(folder: str) -> Iterator[_Scene]:
    paths = [p for p in storage.list_files(folder) if _FILE.fullmatch(posixpath.basename(p))]
    if not paths:
        raise RapportError(f"{folder} holds no friends_season_NN.json: wanted those of emorynlp/character-mining, or transcripts null")
    for path in paths:
        try:
            for episode in storage.read_json(path)["episodes"]:
                for scene in episode["scenes"]:
                    lines = frozenset(words_of(str(u.get("transcript") or "")) for u in scene["utterances"]) - {()}
                    yield _Scene(str(scene["scene_id"]), _opening(scene["utterances"]), lines)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RapportError(f"{path}: {error!r}; wanted episodes, their scenes and their utterances") from error


def _opening(utterances: list[Mapping[str, Any]]) -> str | None:
    """The directions before the first line that somebody speaks, as one line."""
    notes = []
    for utterance in utterances:
        if utterance.get("speakers"):
            break
        note = clean(str(utterance.get("transcript_with_note") or "")).strip("[]() ")
        notes.append(re.sub(r"^(scene|setting)\s*:\s*", "", note, flags=re.IGNORECASE))
    return " ".join(n for n in notes if n) or None
