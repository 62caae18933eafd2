"""Tells what a sequence of steps is doing: a live list on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.table import Table

_LINE_EVERY_S = 20.0


class Narrator(Protocol):
    """What hears of the steps as they happen."""

    def begin(self, index: int) -> None:
        """Step `index` starts."""

    def say(self, line: str) -> None:
        """The step that runs has something to tell."""

    def end(self, outcome: str, seconds: float) -> None:
        """The step that runs has ended well."""


@contextmanager
def narrator(titles: Sequence[str]) -> Iterator[Narrator]:
    """A narrator of steps with these titles, on stderr."""
    if not sys.stderr.isatty():
        yield _Lines(titles)
        return
    from rich.console import Console
    from rich.live import Live

    screen = _Screen(titles)
    with Live(screen, console=Console(stderr=True), refresh_per_second=8, redirect_stdout=False):
        yield screen


def duration(seconds: float) -> str:
    """`4.2 s`, `38 s` or `2 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


class _Lines:
    """One line when a step begins, one when it ends, and now and then one between."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._titles = titles
        self._told_s = 0.0

    def begin(self, index: int) -> None:
        self._told_s = time.monotonic()
        _print(f"[{index + 1}/{len(self._titles)}] {self._titles[index]} ...")

    def say(self, line: str) -> None:
        if time.monotonic() - self._told_s >= _LINE_EVERY_S:
            self._told_s = time.monotonic()
            _print(f"      {line}")

    def end(self, outcome: str, seconds: float) -> None:
        _print(f"      {outcome} ({duration(seconds)})")


class _Screen:
    """All steps, one a line: done with their outcome, running with the last line of their log, to come."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._titles = titles
        self._outcomes: list[tuple[str, float]] = []
        self._line = ""
        self._began_s = time.monotonic()

    def begin(self, index: int) -> None:
        self._line, self._began_s = "", time.monotonic()

    def say(self, line: str) -> None:
        self._line = line

    def end(self, outcome: str, seconds: float) -> None:
        self._outcomes.append((outcome, seconds))
        self._line, self._began_s = "", time.monotonic()

    def __rich__(self) -> "Table":
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 1), show_header=False)
        table.add_column()
        table.add_column()
        table.add_column(justify="right")
        table.add_column(overflow="ellipsis", no_wrap=True, style="dim")
        for index, title in enumerate(self._titles):
            if index < len(self._outcomes):
                outcome, seconds = self._outcomes[index]
                table.add_row(Text("✓", "green"), title, duration(seconds), outcome)
            elif index == len(self._outcomes):
                elapsed_s = time.monotonic() - self._began_s
                table.add_row(Spinner("dots", style="cyan"), Text(title, "bold"), duration(elapsed_s), self._line)
            else:
                table.add_row(" ", Text(title, "dim"), "", "")
        return table


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
