"""What an agent's pretraining data consists of, by name: each picture and clip, before any is made.

    pretrain/Image/<item>/train_number{1,2,3}/group<g>_{1,2}.jpg      T pictures a folder: the training side
    pretrain/Image/<item>/test_number{1,2,3}/group<g>_{1,2}.jpg       V pictures a folder: 1 and 2 validation, 3 test
    pretrain/Audio/<item>/<item>_<i>.wav                              utterance i, clean; of further voices `<item>_<i>@<voice>.wav`
    pretrain/Audio/<item>/<item>_<i>_<j>.wav                          the same with noise, for picture j of the item

The names and numbers are those of the published simulator, so that its trainers find what they look for: j counts the pictures of a side
in the order of their paths, training from 0, validation from 3T, test from 3T + 2V.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, get_args

from rapport.core.errors import RapportError
from rapport.datasets.agent_data.config import AgentDataConfig
from rapport.simulator.scenario import spoken

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = get_args(Side)
"""As the published trainers call them."""
CLEAN = "clean"
"""In place of a side: clips without noise, which go with no picture."""
IMAGES, AUDIO = "pretrain/Image", "pretrain/Audio"

_FOLDERS: Mapping[Side, tuple[str, ...]] = {
    "train": ("train_number1", "train_number2", "train_number3"),
    "val": ("test_number1", "test_number2"),
    "test": ("test_number3",),
}


@dataclass(frozen=True, slots=True)
class DataItem:
    """An item of the task as pretraining needs it."""

    id: int
    name: str
    """Raw: it names folders and files."""
    prompt: str
    """What a picture of it shows."""
    voice: str
    """Who speaks of it where no voices are set."""


@dataclass(frozen=True, slots=True)
class PlannedPicture:
    """A picture to be drawn."""

    path: str
    """Below the folder of the data."""
    item_id: int
    item: str
    prompt: str
    side: str
    number: int
    """j, among the pictures of the item."""


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """An utterance to be spoken, or to be given noise."""

    path: str
    item_id: int
    item: str
    side: str
    """A side, or `clean`."""
    pattern: int
    """i, which utterance of the item."""
    text: str
    voice: str
    number: int | None
    """j of the picture with which it goes; None when clean."""
    source: str | None
    """Path of the clean clip under the noise; None when clean."""


def plan_pictures(items: Sequence[DataItem], config: AgentDataConfig) -> list[PlannedPicture]:
    """Every picture, by item, side and path.

    Raises RapportError for item names that cannot name folders, that clash, or that `held_out.items` names and the task does not have.
    """
    held = _held_out(items, config.held_out.items)
    if len(held) == len(items):
        raise RapportError(f"held_out.items holds out all {len(items)} items: leave one to train on")
    planned = []
    for item in items:
        _check_name(item.name)
        for side in SIDES if item.id not in held else ("test",):
            numbers = enumerate(_picture_names(side, config), start=_first_number(side, config))
            planned += [
                PlannedPicture(f"{IMAGES}/{item.name}/{name}", item.id, item.name, item.prompt, side, number) for number, name in numbers
            ]
    return planned


def plan_clips(
    pictures: Sequence[PlannedPicture], items: Sequence[DataItem], utterance: Callable[[str, int], str], config: AgentDataConfig
) -> tuple[list[PlannedClip], list[PlannedClip]]:
    """The clean clips, and those with noise: for each picture the utterances of its side, spoken by the voices of its side in turn.

    `utterance(item, i)` is what is said. Raises RapportError for an item without a voice.
    """
    known = {item.id: item for item in items}
    clean: dict[str, PlannedClip] = {}
    noisy = []
    for picture in pictures:
        item = known[picture.item_id]
        voices, patterns = _voices(item, picture.side, config), _patterns(picture.side, config)
        for place, pattern in enumerate(patterns):
            voice = voices[(place + picture.number) % len(voices)]
            source = f"{AUDIO}/{item.name}/{item.name}_{pattern}{_voice_suffix(voice, config)}.wav"
            text = utterance(item.name, pattern)
            clean.setdefault(source, PlannedClip(source, item.id, item.name, CLEAN, pattern, text, voice, None, None))
            path = f"{AUDIO}/{item.name}/{item.name}_{pattern}_{picture.number}.wav"
            noisy.append(PlannedClip(path, item.id, item.name, picture.side, pattern, text, voice, picture.number, source))
    return list(clean.values()), noisy


def _picture_names(side: Side, config: AgentDataConfig) -> Iterator[str]:
    """The pictures of an item on a side, in the order of their paths."""
    count = config.pictures.train_per_folder if side == "train" else config.pictures.test_per_folder
    names = [f"group{n // 2 + 1}_{n % 2 + 1}.jpg" for n in range(count)]
    return (f"{folder}/{name}" for folder in _FOLDERS[side] for name in sorted(names))


def _first_number(side: Side, config: AgentDataConfig) -> int:
    train, test = config.pictures.train_per_folder, config.pictures.test_per_folder
    return {"train": 0, "val": 3 * train, "test": 3 * train + 2 * test}[side]


def _patterns(side: str, config: AgentDataConfig) -> list[int]:
    held = set(config.held_out.patterns)
    return [i for i in range(config.speech.utterances) if not held or (i in held) == (side == "test")]


def _voices(item: DataItem, side: str, config: AgentDataConfig) -> list[str]:
    if not config.speech.voices:
        if not item.voice:
            raise RapportError(f"nobody speaks of item {item.name!r}: give its scene a speaker_description, or set speech.voices")
        return [item.voice]
    held = set(config.held_out.voices)
    return [voice for voice in config.speech.voices if not held or (voice in held) == (side == "test")]


def _voice_suffix(voice: str, config: AgentDataConfig) -> str:
    """Nothing for the first voice, which speaks the clip that is named as published."""
    if not config.speech.voices or voice == config.speech.voices[0]:
        return ""
    return "@" + "".join(c if c.isalnum() or c in "._+-" else "_" for c in voice)


def _held_out(items: Sequence[DataItem], names: Sequence[str]) -> set[int]:
    by_name = {spoken(item.name): item.id for item in items}
    if len(by_name) < len(items):
        raise RapportError("two items of the task have the same name, which names their folders: give each a name of its own")
    for name in names:
        if spoken(name) not in by_name:
            near = get_close_matches(spoken(name), by_name, n=1)
            raise RapportError(
                f"held_out.items has {name!r}, which the task does not have" + (f"; did you mean {near[0]!r}?" if near else "")
            )
    return {by_name[spoken(name)] for name in names}


def _check_name(name: str) -> None:
    if not name.strip() or name.startswith(".") or any(c in "/\\\0" for c in name):
        raise RapportError(f"item name {name!r} cannot name a folder: wanted one without slashes that does not begin with a dot")
