"""Which stages a strategy is made of, and what each one starts from. Pure: no files, no Ray.

    full_curriculum   role_play -> speaker -> steer -> erc
    steer_only        steer -> erc
    auxiliary_only    role_play -> speaker -> erc
    mixed             steer; joint (role_play, speaker and what steer harvested, from the base) -> erc
    custom            those of role_play, speaker and steer that are switched on, then erc; none of them is the plain baseline

The published script's strategy A, its two shorter forms and its switches, and strategy B of its README (CoE, spec section 3.1). The
embedded base knows no language: there a stage `base` comes first, which stands in for what a published language model brings along.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rapport.core.conversations import TASKS

Strategy = Literal["full_curriculum", "steer_only", "auxiliary_only", "mixed", "custom"]

BASE, JOINT = "base", "joint"
"""Names of the stages that are no task of their own; the others are called as their task is."""
ERC = "erc"
"""Name of the last stage."""
FORMAT = 1
"""To be raised when the code of a stage changes what it learns, so that no earlier stage is taken for one of today."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of the graph."""

    name: str
    kind: Literal["sft", "steer"]
    """Supervised training, or rounds of self-training."""
    tasks: tuple[str, ...]
    """Tasks whose examples it reads."""
    after: str | None = None
    """The stage whose model it starts from; None is the base model."""
    memory_of: str | None = None
    """The stage whose harvest it learns beside its tasks."""


@dataclass(frozen=True, slots=True)
class Switches:
    """Which stages come before the last one."""

    role_play: bool = False
    speaker: bool = False
    steer: bool = False


_CHAINS: Mapping[str, Switches] = {
    "full_curriculum": Switches(role_play=True, speaker=True, steer=True),
    "steer_only": Switches(steer=True),
    "auxiliary_only": Switches(role_play=True, speaker=True),
}


def stages_of(
    strategy: Strategy, switches: Switches | None = None, *, embedded: bool = False, rehearsal: bool = False
) -> tuple[Stage, ...]:
    """The stages in an order in which each comes after what it needs; `switches` are those of `custom`.

    With `rehearsal` the last stage learns the harvest again, where there is one.
    """
    first = BASE if embedded else None
    stages = [Stage(BASE, "sft", TASKS)] if embedded else []
    if strategy == "mixed":
        stages.append(Stage("steer", "steer", ("steer",), first))
        stages.append(Stage(JOINT, "sft", ("role_play", "speaker"), first, memory_of="steer"))
        before: str | None = JOINT
    else:
        chosen = _CHAINS.get(strategy) or switches or Switches()
        before = first
        for name in ("role_play", "speaker", "steer"):
            if getattr(chosen, name):
                stages.append(Stage(name, "steer" if name == "steer" else "sft", (name,), before))
                before = name
    harvested = any(stage.kind == "steer" for stage in stages)
    return (*stages, Stage(ERC, "sft", ("erc",), before, memory_of="steer" if rehearsal and harvested else None))


def stage_keys(stages: Sequence[Stage], made_from: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Name to the key (sha256) of each stage: of its place in the graph, what it is made from (JSON), and the stages that it needs.

    Equal keys, equal models: whichever run a stage was trained for.
    """
    keys: dict[str, str] = {}
    for stage in stages:
        whole = {
            "format": FORMAT,
            "stage": stage.name,
            "kind": stage.kind,
            "tasks": stage.tasks,
            "after": keys[stage.after] if stage.after else None,
            "memory_of": keys[stage.memory_of] if stage.memory_of else None,
            "made_from": made_from[stage.name],
        }
        canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        keys[stage.name] = hashlib.sha256(canonical.encode()).hexdigest()
    return keys


def differences(before: Any, now: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted name, then, now) of what differs between two JSON values."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted({*before, *now}):
            yield from differences(before.get(name), now.get(name), f"{prefix}.{name}" if prefix else name)
    elif before != now:
        yield prefix, before, now
