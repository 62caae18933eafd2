"""Answers to many prompts: Ray Data, with a model on a pool of actors.

    model = model_ref("runs/train_coe/stages/steer-0123456789ab/models/round_02")
    write_answers(prompts, model, ErcGenerationConfig(), RolloutConfig(), parts="runs/.../parts")

Prompts of like length travel together in blocks, the longest first, so that batches waste little on padding and the last actor to finish
has a short block. Blocks do not depend on the number of actors, and so the answers do not either. What travels is small: texts out, texts
or figures back.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.datasets.conversations.tables import to_json_lines
from rapport.datasets.ray_data import map_on_actors
from rapport.models.erc.engine import model_settings
from rapport.models.erc.generation import Prompt, Written
from rapport.models.erc.model_config import ErcGenerationConfig, ScoringConfig
from rapport.models.erc.scoring import Choice, Scored, check_choices
from rapport.ray_jobs.coe_rollouts.config import ModelRef, RolloutConfig

_TELL_EVERY_S = 20.0


def say(line: str) -> None:
    """Print a line of progress on stderr."""
    print(line, file=sys.stderr, flush=True)


def model_ref(folder: str, base: str = "") -> ModelRef:
    """The model of a folder, with adapters told apart from the base model that they sit on, so that the base can stay loaded.

    `base` tells where that base model lies now. Raises RapportError when it is no model folder.
    """
    settings, saved = model_settings(folder)
    if saved is None or saved["whole"] or not saved["adapters"]:
        return ModelRef(folder)
    reference = saved["reference"]
    source = {"base": base, "revision": None} if base else {"base": reference["source"], "revision": reference["revision"]}
    return ModelRef(settings.model_copy(update=source), adapter=folder)


def write_answers(
    prompts: Sequence[Prompt],
    model: ModelRef,
    generation: ErcGenerationConfig,
    config: RolloutConfig,
    parts: str | None = None,
    tell: Callable[[str], None] = say,
) -> list[Written]:
    """`generation.samples` answers to each prompt, sorted by example and sample: the same from any number of actors.

    With a folder `parts`, the answers to every block are kept there as soon as they are known, and asked again after a kill is only what is
    missing. Ray must be running. Raises RapportError for two prompts of one name, and for a model that cannot be loaded.
    """
    rows = _ask(prompts, model, generation, config, parts, tell)
    return sorted((Written(**row) for row in rows), key=lambda written: (written.example_id, written.sample))


def score_choices(
    choices: Sequence[Choice],
    model: ModelRef,
    scoring: ScoringConfig,
    config: RolloutConfig,
    parts: str | None = None,
    tell: Callable[[str], None] = say,
) -> list[Scored]:
    """The weighed answers to each prompt, sorted by example; otherwise as `write_answers`."""
    check_choices(choices)
    rows = _ask(choices, model, scoring, config, parts, tell)
    lists = ("labels", "log_likelihoods", "probabilities")
    found = (Scored(**{**row, **{name: tuple(row[name]) for name in lists}}) for row in rows)
    return sorted(found, key=lambda scored: scored.example_id)


def blocks_of(asked: Iterable[Prompt | Choice], rows: int) -> list[list[Prompt | Choice]]:
    """Prompts of like length together, the longest first; the same blocks in whatever order they are given."""
    # By letters: tokens would have to be counted here, where no tokenizer is loaded, and only the order is wanted.
    ordered = sorted(asked, key=lambda row: (-len(row.text), row.example_id))
    return [ordered[start : start + rows] for start in range(0, len(ordered), rows)]


def _ask(
    asked: Sequence[Prompt] | Sequence[Choice],
    model: ModelRef,
    how: ErcGenerationConfig | ScoringConfig,
    config: RolloutConfig,
    parts: str | None,
    tell: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Fields of every answer, in no order."""
    names = Counter(row.example_id for row in asked)
    if twice := [name for name, count in names.items() if count > 1]:
        raise RapportError(f"{len(twice)} examples are asked twice, such as {twice[0]}: answers could not be told apart, wanted each once")
    blocks = blocks_of(asked, config.block_rows)
    files = [storage.join(parts, f"{_key(block, model, how)}.jsonl") for block in blocks] if parts else []
    kept = [place for place, file in enumerate(files) if storage.exists(file)]
    answers = [row for place in kept for row in _read(files[place])]
    advance = _progress(len(asked), sum(len(blocks[place]) for place in kept), tell)
    missing = sorted(set(range(len(blocks))) - set(kept))
    items = [{"block": place, "rows": json.dumps([asdict(row) for row in blocks[place]])} for place in missing]
    for found in _answered(items, model, how, config):
        if found["error"]:
            raise RapportError(found["error"])
        rows = json.loads(found["answers"])
        if parts:
            storage.write_bytes(files[found["block"]], to_json_lines(rows))
        answers += rows
        advance(len(blocks[found["block"]]))
    return answers


def _answered(
    items: list[dict[str, Any]], model: ModelRef, how: ErcGenerationConfig | ScoringConfig, config: RolloutConfig
) -> Iterator[dict[str, Any]]:
    """Blocks as they come back from the actors."""
    if not items:
        return
    import ray

    from rapport.ray_jobs.coe_rollouts.actor import Asker

    gpus = config.gpus_per_actor if config.gpus_per_actor is not None else float(ray.cluster_resources().get("GPU", 0) >= 1)
    engine = config.engine
    if engine.device == "auto":
        # An actor that was given no GPU may still see one.
        engine = engine.model_copy(update={"device": "cuda" if gpus else "cpu"})
    arguments = {"model": model, "engine": engine, "how": how}
    yield from map_on_actors(items, Asker, arguments, config.actors, gpus, config.cpus_per_actor)


def _key(block: Sequence[Prompt | Choice], model: ModelRef, how: ErcGenerationConfig | ScoringConfig) -> str:
    """Stands for what is asked, of which model, and how: other answers are not taken for these."""
    name = model.model if isinstance(model.model, str) else model.model.model_dump(mode="json")
    asked = [asdict(row) for row in block]
    return storage.content_key({"asked": asked, "model": name, "adapter": model.adapter, "how": how.model_dump(mode="json")})


def _read(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in storage.read_bytes(file).split(b"\n") if line]


def _progress(total: int, before: int, tell: Callable[[str], None]) -> Callable[[int], None]:
    """A function to call with the number of prompts just answered, which tells now and then how many of all are."""
    began_s = told_s = time.monotonic()
    done = before
    if before:
        tell(f"asked {before} of {total} before")

    def advance(count: int) -> None:
        nonlocal done, told_s
        done += count
        now_s = time.monotonic()
        if done == total or now_s - told_s >= _TELL_EVERY_S:
            told_s = now_s
            tell(f"asked {done} of {total}, {(done - before) / max(now_s - began_s, 1e-6):.1f} per second")

    return advance
