"""Progress of long work on stderr: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINE_EVERY_S = 20.0


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of items just finished, of `total` in all."""
    with _bar(title, total) if sys.stderr.isatty() else _lines(title, total) as advance:
        yield advance


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def _lines(title: str, total: int) -> Iterator[Callable[[int], None]]:
    began_s = told_s = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, told_s
        done += count
        now_s = time.monotonic()
        if done >= total or now_s - told_s >= _LINE_EVERY_S:
            told_s = now_s
            print(f"{title}: {done} of {total}, {now_s - began_s:.0f} s", file=sys.stderr, flush=True)

    yield advance
