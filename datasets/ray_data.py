"""Ray Data without its chatter, and the one shape in which our jobs use it: many small items of work, each told to a worker.

Ray is imported when a function is called: modules that only carry settings stay light.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

# A block costs the executor some 15 ms; an item of work takes a tenth of a second. Several items make a block, several blocks keep a
# worker busy to the end, and blocks are cut off where a long job would show no progress for minutes.
_BLOCKS_PER_WORKER = 6
_MAX_ITEMS_PER_BLOCK = 32


def map_items(
    items: Sequence[dict[str, Any]], work: Callable[[dict[str, Any]], dict[str, Any]], concurrency: int | None = None
) -> Iterator[dict[str, Any]]:
    """What `work` answers for each item, in the order in which answers come in; one process a CPU unless told.

    Wants Ray to be initialised. Items and answers travel and should be small: descriptions out, counts back.
    """
    import ray
    import ray.data
    from ray.data import TaskPoolStrategy

    if not items:
        return
    workers = concurrency or int(ray.cluster_resources().get("CPU", 1))
    blocks = min(len(items), max(_BLOCKS_PER_WORKER * workers, len(items) // _MAX_ITEMS_PER_BLOCK))
    with quiet():
        dataset = ray.data.from_items(list(items), override_num_blocks=blocks).map(work, compute=TaskPoolStrategy(size=concurrency))
        yield from dataset.iter_rows()


def map_on_actors(
    items: Sequence[dict[str, Any]],
    worker: type[Callable[[dict[str, Any]], dict[str, Any]]],
    arguments: Mapping[str, Any],
    actors: int | None = None,
    gpus_per_actor: float = 0.0,
    cpus_per_actor: float = 1.0,
) -> Iterator[dict[str, Any]]:
    """What workers answer for each item, in the order in which answers come in; each is made once, `worker(**arguments)`, and kept.

    As many actors as the CPUs hold, or the GPUs when each is to have a share of one, unless told. Wants Ray to be initialised.
    """
    import ray
    import ray.data
    from ray.data import ActorPoolStrategy

    if not items:
        return
    resources = ray.cluster_resources()
    room = resources.get("GPU", 0) / gpus_per_actor if gpus_per_actor else resources.get("CPU", 1) / cpus_per_actor
    # A block is the least that an actor can be given: more actors than items would only start.
    pool = min(actors or max(int(room), 1), len(items))
    made: Any = worker  # Ray's types know functions alone here
    with quiet():
        dataset = ray.data.from_items(list(items), override_num_blocks=len(items)).map(
            made,
            fn_constructor_kwargs=dict(arguments),
            compute=ActorPoolStrategy(size=pool),
            num_cpus=None if gpus_per_actor else cpus_per_actor,
            num_gpus=gpus_per_actor or None,
        )
        yield from dataset.iter_rows()


@contextmanager
def quiet() -> Iterator[None]:
    """While this lasts, new datasets show no bars and Ray Data logs nothing: a job shows its own progress, and errors still rise."""
    from ray.data import DataContext

    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with DataContext.current(context):
            yield
    finally:
        logger.setLevel(level)
