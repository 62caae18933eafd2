"""Utterance patterns: who is asked for how."""

import json
from pathlib import Path
from typing import Any

import pytest

from rapport.core.config import ConfigError
from rapport.simulator.patterns import Patterns, load_patterns
from rapport.simulator.scenario import Item
from tests.simulator.published import load_published

ROLL = Item(4, "Cinnamon_Roll", {}, "")
TEA = Item(3, "green_tea", {}, "")


def _patterns(folder: Path, data: Any, *, strict: bool = True) -> Patterns:
    path = folder / "utterance_patterns.json"
    path.write_text(json.dumps(data))
    return load_patterns(path, strict=strict)


def test_an_item_is_asked_for_with_its_own_group_or_the_fallback(tmp_path: Path) -> None:
    data = {"scene": {"cinnamon roll": "baked"}, "baked": ["{name}", "one {name} please"], "else": ["{name}", "may_i get {name}"]}
    patterns = _patterns(tmp_path, data)
    assert patterns.group(ROLL) == ("{name}", "one {name} please")
    assert patterns.utterances(ROLL) == ("Cinnamon Roll", "one Cinnamon Roll please")
    assert patterns.utterances(TEA) == ("green tea", "may i get green tea")
    assert patterns.utterance(TEA, 5) == "may i get green tea"
    assert patterns.sentences([TEA, ROLL, TEA]) == ("green tea", "may i get green tea", "Cinnamon Roll", "one Cinnamon Roll please")


def test_the_published_patterns_give_five_sentences_an_item(shared_data: Path) -> None:
    food, corner = (load_published(shared_data, name) for name in ("food_task", "food_corner_task"))
    assert food.patterns is not None
    assert corner.patterns is not None
    kiwi, western = food.scenario.items[10], corner.scenario.items[2]
    assert food.patterns.utterance(kiwi, 3) == "i'll take kiwi fruit"
    assert corner.patterns.utterance(western, 1) == "i want to go to the western food corner"
    assert corner.patterns.utterance(corner.scenario.items[3], 1) == "i want Udon"
    assert len(food.patterns.sentences(food.scenario.items.values())) == 100


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"scene": {"tea": "hto"}, "hot": ["{name}"]}, "scene.tea: there is no group 'hto'; did you mean 'hot'?"),
        ({"scene": ["tea"], "else": ["{name}"]}, "scene: wanted a mapping"),
        ({"else": "{name}"}, "else: wanted a list"),
        ({"else": ["{name}", 3]}, "else: wanted a list"),
        ({"else": []}, "else: an empty group"),
        ({"else": ["i want it"]}, "else.0: wanted {name}"),
        ({"else": ["{name}", "{nmae} and {name}"]}, "else.1: wanted {name}"),
    ],
)
def test_wrong_patterns_are_refused_by_file_and_key(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _patterns(tmp_path, data)
    assert message in str(caught.value)
    assert "utterance_patterns.json" in str(caught.value)


def test_lenient_patterns_fail_when_they_are_used(tmp_path: Path) -> None:
    patterns = _patterns(tmp_path, {"scene": {"green_tea": "gone"}, "else": ["i want it"]}, strict=False)
    with pytest.raises(ConfigError, match="without its name"):
        patterns.utterance(TEA, 0)
    with pytest.raises(ConfigError, match="nothing tells how 'green_tea' is asked for"):
        _patterns(tmp_path, {}, strict=False).utterances(TEA)
