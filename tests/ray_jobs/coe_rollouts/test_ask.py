import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import ray

from rapport.core.errors import RapportError
from rapport.models.erc.config import AnswerConfig
from rapport.models.erc.generation import Prompt, Written
from rapport.models.erc.model import apply_trainable
from rapport.models.erc.model_config import EngineConfig, ErcGenerationConfig, ErcModelConfig, ErcTrainableConfig, ScoringConfig
from rapport.models.erc.pretrained import build_model, save_pretrained
from rapport.models.erc.scoring import Choice
from rapport.models.ser.config import LoraConfig
from rapport.ray_jobs.coe_rollouts import actor, ask
from rapport.ray_jobs.coe_rollouts.ask import blocks_of, model_ref, score_choices, write_answers
from rapport.ray_jobs.coe_rollouts.config import ModelRef, RolloutConfig
from rapport.ray_jobs.coe_training.steer.memory import harvest, rollouts_of
from tests.models.erc.tiny_llm import base_folder, learn_something
from tests.toy_steer import LABELS, example, seed_example, taught_model

POOL = [example(n) for n in range(30, 54)]
PROMPTS = [Prompt(e.example_id, e.input) for e in POOL]
GREEDY = ErcGenerationConfig(max_new_tokens=64)
SMALL = RolloutConfig(block_rows=5, cpus_per_actor=0.5)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    folder = tmp_path_factory.mktemp("taught") / "model"
    save_pretrained(taught_model(), folder)
    return model_ref(str(folder))


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model in `base`, adapters on it in `one` and `two`, adapters on another in `foreign`."""
    root = tmp_path_factory.mktemp("adapters")
    bases = {"base": base_folder(root / "base"), "other": base_folder(root / "other", seed=1)}
    for seed, (name, base) in enumerate({"one": "base", "two": "base", "foreign": "other"}.items()):
        model = build_model(ErcModelConfig(base=str(bases[base])))
        apply_trainable(model, ErcTrainableConfig(lora=LoraConfig(rank=4)))
        learn_something(model, seed)
        save_pretrained(model, root / name)
    return root


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are answered in this process, one after the other."""

    def answered(items: list[dict[str, Any]], worker: type, arguments: Mapping[str, Any], *placed: Any) -> Iterator[dict[str, Any]]:
        yield from map(worker(**arguments), items)

    monkeypatch.setattr(ask, "map_on_actors", answered)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})


def accepted(written: list[Written]) -> set[str]:
    seeds, config = [seed_example(n) for n in range(3)], AnswerConfig(duplicates="example")
    found = harvest(POOL, rollouts_of(written), seeds, config, lambda text: len(text.split()), number=0, seed=0)
    return {e.example_id for e in found.accepted}


def test_blocks_hold_prompts_of_like_length_whatever_their_order() -> None:
    blocks = blocks_of(PROMPTS, 5)
    assert blocks == blocks_of(PROMPTS[::-1], 5)
    assert sorted((p for block in blocks for p in block), key=lambda p: p.example_id) == sorted(PROMPTS, key=lambda p: p.example_id)
    lengths = [[len(p.text) for p in block] for block in blocks]
    assert all(min(longer) >= max(shorter) for longer, shorter in pairwise(lengths))


@pytest.mark.slow
def test_any_number_of_actors_accepts_the_same(ray_cluster: dict[str, float], taught: ModelRef) -> None:
    """Acceptance test (a) of the specification."""
    found = {n: write_answers(PROMPTS, taught, GREEDY, SMALL.model_copy(update={"actors": n}), tell=lambda _: None) for n in (1, 2, 3, 4)}
    assert [w.example_id for w in found[1]] == sorted(p.example_id for p in PROMPTS)
    assert found[1] == found[2] == found[3] == found[4]
    assert accepted(found[1]) == accepted(found[4])
    assert len(accepted(found[1])) > 5


def test_what_was_answered_before_a_kill_is_not_asked_again(without_ray: None, taught: ModelRef, tmp_path: Path) -> None:
    lines: list[str] = []
    parts = str(tmp_path / "parts")
    whole = write_answers(PROMPTS, taught, GREEDY, SMALL, parts, lines.append)
    assert lines[-1].startswith("asked 24 of 24, ")
    files = sorted((tmp_path / "parts").iterdir())
    assert len(files) == 5
    files[0].unlink()
    changed = json.loads(files[1].read_text().splitlines()[0]) | {"text": "kept"}
    files[1].write_text("\n".join([json.dumps(changed), *files[1].read_text().splitlines()[1:]]) + "\n")
    lines.clear()
    again = write_answers(PROMPTS, taught, GREEDY, SMALL, parts, lines.append)
    assert lines[0] in ("asked 19 of 24 before", "asked 20 of 24 before")
    assert [a.text for a in again if a.text != "kept"] == [w.text for w, a in zip(whole, again, strict=True) if a.text != "kept"]
    assert [a.text for a in again].count("kept") == 1
    # Another way of asking is another question.
    lines.clear()
    write_answers(PROMPTS[:5], taught, GREEDY.model_copy(update={"max_new_tokens": 4}), SMALL, parts, lines.append)
    assert not any("before" in line for line in lines)


def test_choices_are_weighed_as_in_one_process(without_ray: None, taught: ModelRef) -> None:
    choices = [Choice(p.example_id, p.text, LABELS) for p in PROMPTS[:8]]
    found = score_choices(choices, taught, ScoringConfig(), SMALL, tell=lambda _: None)
    alone = {s.example_id: s for s in actor.engine_of(taught, EngineConfig(device="cpu")).score(choices, ScoringConfig())}
    assert [s.example_id for s in found] == sorted(alone)
    for scored in found:
        assert scored.labels == LABELS
        assert scored.log_likelihoods == pytest.approx(alone[scored.example_id].log_likelihoods, abs=1e-4)


def test_an_adapter_of_another_base_is_told(without_ray: None, adapters: Path) -> None:
    wrong = ModelRef(ErcModelConfig(base=str(adapters / "base")), adapter=str(adapters / "foreign"))
    with pytest.raises(RapportError, match=r"foreign was made for the language model .*other"):
        write_answers(PROMPTS[:2], wrong, GREEDY, SMALL)


def test_one_name_for_two_prompts_is_refused(taught: ModelRef) -> None:
    with pytest.raises(RapportError, match="1 examples are asked twice, such as toy/train/d30"):
        write_answers([PROMPTS[0], PROMPTS[0]], taught, GREEDY, SMALL)
    assert write_answers([], taught, GREEDY, SMALL) == []


def test_the_base_stays_open_while_adapters_change(adapters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = MagicMock(side_effect=actor.open_engine)
    monkeypatch.setattr(actor, "open_engine", opened)
    monkeypatch.setattr(actor, "_OPEN", {})
    one, two = model_ref(str(adapters / "one")), model_ref(str(adapters / "two"))
    assert (one.adapter, one.model) == (str(adapters / "one"), two.model)
    rows = [{"example_id": p.example_id, "text": p.text} for p in PROMPTS[:3]]
    first, second, again = (actor.Asker(ref, EngineConfig(), GREEDY).answer(rows) for ref in (one, two, one))
    assert opened.call_count == 1
    assert first == again != second


def test_a_base_that_was_moved_is_found(adapters: Path, tmp_path: Path) -> None:
    moved = base_folder(tmp_path / "moved")
    ref = model_ref(str(adapters / "one"), base=str(moved))
    assert isinstance(ref.model, ErcModelConfig)
    assert ref.model.base == str(moved)
    assert actor.engine_of(ref, EngineConfig(device="cpu")).adapter == str(adapters / "one")
