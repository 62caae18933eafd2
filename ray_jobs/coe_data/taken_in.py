"""Published flat files as the examples of a build."""

from collections import Counter
from dataclasses import replace

from rapport.core.conversations import ErcExample
from rapport.core.errors import RapportError
from rapport.models.erc.answers import find_label
from rapport.models.erc.build import Built
from rapport.ray_jobs.coe_data.sources import FlatSource


def built_from(source: FlatSource) -> Built:
    """The examples as they are; the lines of which there are reasons go out of the pool.

    Raises RapportError for reasons that do not end in a label, and when they leave a label out.
    """
    examples = {stage.task: dict(stage.examples) for stage in source.stages}
    steer = next((stage for stage in source.stages if stage.task == "steer"), None)
    if steer is None or not steer.seeds:
        return Built(examples, [], {})
    seeds = [_with_gold(seed, steer.labels) for seed in steer.seeds]
    if missing := [label for label in steer.labels if label not in {seed.gold for seed in seeds}]:
        raise RapportError(f"the seeds hold no example of {', '.join(missing)}; every label wants at least one")
    # By their words: in this form nothing else tells that two lines are one.
    prompts = {seed.input for seed in seeds}
    pool = examples["steer"].get("train", [])
    kept = [e for e in pool if e.input not in prompts]
    examples["steer"]["train"] = kept
    return Built(examples, seeds, {"steer": Counter({"seed": len(pool) - len(kept)})} if len(kept) < len(pool) else {})


def _with_gold(seed: ErcExample, labels: tuple[str, ...]) -> ErcExample:
    """The seed as a line of train, with the label that its reasons end in."""
    gold = find_label(seed.target, labels)
    if gold is None:
        raise RapportError(
            f"{seed.example_id}: the answer ends in {seed.target[-30:]!r}, wanted one of {', '.join(labels)} between angle brackets, "
            "letter for letter"
        )
    name = seed.example_id.split("/")
    return replace(seed, example_id="/".join([name[0], "train", "seed", *name[3:]]), gold=gold)
