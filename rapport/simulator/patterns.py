"""How items are asked for: `utterance_patterns.json`, templates of sentences with a place for the item's name.

    patterns = load_patterns("tasks/cafe/utterance_patterns.json")
    patterns.utterances(tea)      # ("green tea", "may i get green tea", ...)

The file's key `scene` maps item names to groups of templates (its name is misleading: it holds no scenes), every other key is a group,
and the group `else` serves the items that are not mapped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapport.core.config import ConfigError
from rapport.simulator.documents import nearest, read_document
from rapport.simulator.scenario import Item, spoken

ITEMS = "scene"
FALLBACK = "else"
PLACE = "{name}"


@dataclass(frozen=True)
class Patterns:
    """Groups of templates, and which item is asked for with which group."""

    source: str
    """The file, for errors."""
    group_of: Mapping[str, str]
    """Spoken name of an item to the key of its group."""
    groups: Mapping[str, tuple[str, ...]]

    def group(self, item: Item) -> tuple[str, ...]:
        """The templates an item is asked for with. Raises ConfigError when it has none and there is no fallback."""
        templates = self.groups.get(self.group_of.get(item.spoken, FALLBACK)) or self.groups.get(FALLBACK)
        if not templates:
            raise ConfigError(
                f"{self.source}: nothing tells how {item.name!r} is asked for: "
                f"map it to a group under {ITEMS!r}, or add the group {FALLBACK!r}"
            )
        return templates

    def utterance(self, item: Item, index: int) -> str:
        """The sentence of the template `index`, counted round. Raises ConfigError when the item's name is not in it."""
        templates = self.group(item)
        template = templates[index % len(templates)]
        sentence = template.replace(PLACE, item.name).replace("_", " ")
        if item.spoken not in sentence.lower():
            raise ConfigError(f"{self.source}: {template!r} asks for {item.name!r} without its name; wanted {PLACE} in it")
        return sentence

    def utterances(self, item: Item) -> tuple[str, ...]:
        """Every way to ask for an item, in the order of its group."""
        return tuple(self.utterance(item, i) for i in range(len(self.group(item))))

    def sentences(self, items: Iterable[Item]) -> tuple[str, ...]:
        """Every way to ask for any of some items, each sentence once: the language of a task, for a grammar."""
        return tuple(dict.fromkeys(sentence for item in items for sentence in self.utterances(item)))


def load_patterns(path: str | Path, *, strict: bool = True) -> Patterns:
    """The patterns of a file. Raises ConfigError naming the file and the key; see `strict` in `load_task`."""
    data = read_document(path, "utterance patterns", strict=strict)
    mapped = data.pop(ITEMS, {})
    if not (isinstance(mapped, dict) and all(isinstance(key, str) for key in mapped.values())):
        raise ConfigError(f"{path}: {ITEMS}: wanted a mapping from item names to keys of groups, found {mapped!r}")
    groups = {str(key): _templates(path, str(key), value, strict) for key, value in data.items()}
    if strict:
        for name, key in mapped.items():
            if key not in groups:
                raise ConfigError(f"{path}: {ITEMS}.{name}: there is no group {key!r}{nearest(key, list(groups))}")
    return Patterns(str(path), {spoken(str(name)): key for name, key in mapped.items()}, groups)


def _templates(path: str | Path, key: str, value: Any, strict: bool) -> tuple[str, ...]:
    if not (isinstance(value, list) and all(isinstance(template, str) for template in value)):
        raise ConfigError(f"{path}: {key}: wanted a list of sentences with {PLACE} in them, found {value!r}")
    if strict and not value:
        raise ConfigError(f"{path}: {key}: an empty group; wanted at least one sentence with {PLACE} in it")
    for i, template in enumerate(value if strict else []):
        if PLACE not in template or "{" in template.replace(PLACE, "") or "}" in template.replace(PLACE, ""):
            raise ConfigError(f"{path}: {key}.{i}: wanted {PLACE} and no other braces, found {template!r}")
    return tuple(value)
