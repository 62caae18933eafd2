"""What is known of people and places: from files of ours, from files beside the conversations, or from a user's own.

Personas of ours lie in `clue_files/personas_<corpus>.yaml`, scenes in `clue_files/scenes_<corpus>.yaml`, each with a version. A user's
personas are JSON or YAML, `{name: text}` or `{corpus: {name: text}}`; scenes are JSON Lines with `dialogue_id`, `text` and perhaps `split`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from rapport.core import storage
from rapport.core.config import Config, read_config
from rapport.core.conversations import Clues, Conversation
from rapport.core.errors import RapportError
from rapport.core.schema import SPLITS
from rapport.datasets.conversations.records import BadRow, Conversations, key_of
from rapport.datasets.conversations.tables import read_objects
from rapport.datasets.conversations.text import clean
from rapport.datasets.conversations.transcripts import scenes_from_transcripts

PERSONAS, SCENES = "personas.json", "scenes.jsonl"
AUTO, NONE = "auto", "none"

_SHIPPED = Path(__file__).resolve().parent / "clue_files"


class CluesConfig(Config):
    """Where personas and scenes come from."""

    personas: str = AUTO
    """auto takes those beside the conversations, else those that ship for the corpus; none takes none; else a file of {name: text}."""
    scenes: str = AUTO
    """The same for scenes; a file holds JSON Lines with dialogue_id, text and perhaps split."""
    transcripts: str | None = None
    """Folder of friends_season_NN.json (emorynlp/character-mining): the stage direction before a scene's first line is its scene."""


class ShippedPersonas(Config):
    """A file of personas of ours."""

    version: int
    """Raised when a text changes."""
    source: str
    """Where the texts come from."""
    personas: dict[str, str]
    """Key of a person to one line."""
    full_names: dict[str, str] = Field(default_factory=dict)
    """Key to the name under which the corpus shows the person, where it differs."""


class ShippedScenes(Config):
    """A file of scenes of ours."""

    version: int
    """Raised when a text changes."""
    source: str
    """Where the texts come from."""
    scenes: dict[str, str]
    """The part of a dialogue's name after its first underscore, such as impro01, or the beginning of it, to one line."""


def gather_clues(found: Conversations, config: CluesConfig | None = None, root: str | None = None) -> Clues:
    """The clues for conversations, with a digest of all of them; personas only of people who speak.

    `root` is the folder of the conversations, where personas.json and scenes.jsonl may lie. Raises RapportError for a file that is absent
    or is none of personas or scenes, and for a scene of a dialogue that does not exist.
    """
    config = config or CluesConfig()
    beside = clues_beside(root, found.corpus, found.conversations) if root else Clues()
    personas, people_from = {**beside.personas, **found.clues.personas}, "beside the conversations"
    scenes, places_from = {**beside.scenes, **found.clues.scenes}, "beside the conversations"
    if config.personas == NONE:
        personas = {}
    elif config.personas != AUTO:
        personas, people_from = read_personas(config.personas, found.corpus), config.personas
    elif not personas:
        personas, people_from = shipped_personas(found.corpus), _version(f"personas_{found.corpus}")
    if config.scenes == NONE:
        scenes = {}
    elif config.scenes != AUTO:
        scenes, places_from = read_scenes(config.scenes, found.conversations), config.scenes
    elif not scenes and config.transcripts:
        scenes, places_from = scenes_from_transcripts(found, config.transcripts), config.transcripts
    elif not scenes:
        scenes, places_from = shipped_scenes(found.corpus, found.conversations), _version(f"scenes_{found.corpus}")
    speakers = {line.speaker for c in found.conversations for line in c.lines}
    clues = to_clues({name: text for name, text in personas.items() if name in speakers}, scenes)
    sources = {"personas": people_from if clues.personas else NONE, "scenes": places_from if clues.scenes else NONE}
    return replace(clues, sources=sources)


def to_clues(personas: Mapping[str, str], scenes: Mapping[str, str]) -> Clues:
    """The record, sorted by name, with its digest."""
    people, places = dict(sorted(personas.items())), dict(sorted(scenes.items()))
    if not people and not places:
        return Clues()
    canonical = json.dumps([people, places], ensure_ascii=False, separators=(",", ":"))
    return Clues(people, places, sha256(canonical.encode()).hexdigest())


def clues_beside(folder: str, corpus: str, conversations: Sequence[Conversation], scenes: Mapping[str, str] | None = None) -> Clues:
    """The clues of personas.json and scenes.jsonl in a folder, where they are there; `scenes` are known from elsewhere and go before."""
    people, places = storage.join(folder, PERSONAS), storage.join(folder, SCENES)
    personas = read_personas(people, corpus) if storage.exists(people) else {}
    found = read_scenes(places, conversations) if storage.exists(places) else {}
    return to_clues(personas, {**found, **(scenes or {})})


def read_personas(path: str, corpus: str) -> dict[str, str]:
    """Name to text of a file of personas, JSON or YAML.

    Raises RapportError for a file that is none.
    """
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted a file of personas, {{name: text}} or {{corpus: {{name: text}}}}")
    try:
        data: Any = yaml.safe_load(storage.read_bytes(path))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RapportError(f"{path}: {error}; wanted UTF-8 JSON or YAML") from error
    if isinstance(data, dict) and "personas" in data and isinstance(data.get("personas"), dict):
        data = data["personas"]
    if isinstance(data, dict) and data and all(isinstance(v, dict) for v in data.values()):
        if corpus not in data:
            raise RapportError(f"{path} has personas for {', '.join(map(str, data))}, wanted {corpus}")
        data = data[corpus]
    if not isinstance(data, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in data.items()):
        raise RapportError(f"{path}: wanted {{name: text}} or {{{corpus}: {{name: text}}}}")
    return {clean(name): clean(text) for name, text in data.items() if clean(text)}


def read_scenes(path: str, conversations: Sequence[Conversation]) -> dict[str, str]:
    """`<split>/<dialogue_id>` to text of a file of scenes; a line without a split holds for the dialogue of that id on every side.

    Lines of splits that were not read are passed over. Raises RapportError for a line that is none, and for a dialogue that is not there.
    """
    if not storage.exists(path):
        raise RapportError(f"{path} does not exist: wanted a file of scenes, one JSON object a line with dialogue_id and text")
    known = {key_of(c) for c in conversations}
    splits = {c.split for c in conversations}
    scenes: dict[str, str] = {}
    for item in read_objects(path):
        if isinstance(item, BadRow):
            raise RapportError(str(item))
        number, record = item
        dialogue, text, split = record.get("dialogue_id"), record.get("text"), record.get("split")
        if not isinstance(dialogue, str | int) or not isinstance(text, str):
            raise RapportError(f"{path} line {number}: wanted dialogue_id and text, found keys {', '.join(record)}")
        if split is not None and split not in SPLITS:
            raise RapportError(f"{path} line {number}: split {split!r}, wanted {', '.join(SPLITS)} or none")
        if split is not None and split not in splits:
            continue
        keys = [f"{side}/{dialogue}" for side in SPLITS if split in (None, side) and f"{side}/{dialogue}" in known]
        if not keys and splits == set(SPLITS):
            raise RapportError(f"{path} line {number}: there is no dialogue {dialogue!r}{f' in {split}' if split else ''}")
        scenes.update({key: clean(text) for key in keys if clean(text)})
    return scenes


def shipped_personas(corpus: str) -> dict[str, str]:
    """Name as the corpus shows it to the text of ours; empty for a corpus without."""
    path = _SHIPPED / f"personas_{corpus}.yaml"
    if not path.is_file():
        return {}
    shipped = read_config(ShippedPersonas, path)
    return {shipped.full_names.get(key, key): text for key, text in shipped.personas.items()}


def shipped_scenes(corpus: str, conversations: Iterable[Conversation]) -> dict[str, str]:
    """`<split>/<dialogue_id>` to the text of ours; empty for a corpus without."""
    path = _SHIPPED / f"scenes_{corpus}.yaml"
    if not path.is_file():
        return {}
    texts = read_config(ShippedScenes, path).scenes
    found = {key_of(c): _scene_of(c.dialogue_id, texts) for c in conversations}
    return {key: text for key, text in found.items() if text}


def _version(name: str) -> str:
    """`personas_meld.yaml, version 1`; none where no such file ships."""
    path = _SHIPPED / f"{name}.yaml"
    if not path.is_file():
        return NONE
    kind: type[ShippedPersonas | ShippedScenes] = ShippedPersonas if name.startswith("personas") else ShippedScenes
    return f"{path.name}, version {read_config(kind, path).version}"


def _scene_of(dialogue: str, texts: Mapping[str, str]) -> str | None:
    """The text of the longest key that begins the scene's name: `script01_1b` is told by `script01_1`, else by `script01`."""
    scene = re.sub(r"^[^_]*_", "", dialogue)
    keys = [key for key in texts if scene.startswith(key)]
    return texts[max(keys, key=len)] if keys else None
