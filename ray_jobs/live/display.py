"""What the live mode shows: a panel on a terminal, lines in a pipe, JSON for programs."""

import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rapport.core.emotions import EMOTION_COLOURS, strongest
from rapport.ray_jobs.live.listener import Listener, Moment, Said, Scores

Show = Callable[[list[Moment | Said]], None]
_BAR_WIDTH = 32
_WAVE_WIDTH = 60
_LEVELS = " ▁▂▃▄▅▆▇█"


@contextmanager
def display(kind: str, title: str, listener: Listener) -> Iterator[Show]:
    """A function that shows what became known; called often, also with nothing new. `kind` is `screen`, `lines` or `json`."""
    if kind == "screen":
        with _screen(title, listener) as show:
            yield show
    else:
        yield _show_json if kind == "json" else _show_lines


def _show_json(events: list[Moment | Said]) -> None:
    for event in events:
        print(json.dumps(as_row(event), ensure_ascii=False), flush=True)


def _show_lines(events: list[Moment | Said]) -> None:
    for event in events:
        print(as_line(event), flush=True)


def as_row(event: Moment | Said) -> dict[str, Any]:
    """The event as JSON."""
    if isinstance(event, Said):
        return {
            "event": "said",
            "start_s": round(event.start_s, 2),
            "end_s": round(event.end_s, 2),
            "emotion": strongest(event.scores),
            "scores": _rounded(event.scores),
            "text": event.text,
        }
    return {
        "event": "moment",
        "start_s": round(event.start_s, 2),
        "end_s": round(event.end_s, 2),
        "emotion": strongest(event.smoothed) if event.smoothed else None,
        "scores": _rounded(event.scores),
        "smoothed": _rounded(event.smoothed),
        "voice_s": round(event.voice_s, 2),
        "lag_s": round(event.lag_s, 3),
    }


def as_line(event: Moment | Said) -> str:
    """The event in words."""
    if isinstance(event, Said):
        words = f": “{event.text}”" if event.text else ""
        return f"{event.start_s:7.1f}–{event.end_s:.1f} s said, {strongest(event.scores)} {max(event.scores.values()):.0%}{words}"
    if event.smoothed is None:
        return f"{event.end_s:7.1f} s  silence"
    best = sorted(event.smoothed, key=event.smoothed.__getitem__, reverse=True)[:3]
    return f"{event.end_s:7.1f} s  " + ", ".join(f"{emotion} {event.smoothed[emotion]:.0%}" for emotion in best)


@contextmanager
def _screen(title: str, listener: Listener) -> Iterator[Show]:
    from rich.live import Live

    said: deque[Said] = deque(maxlen=6)
    latest: Moment | None = None

    def show(events: list[Moment | Said]) -> None:
        nonlocal latest
        said.extend(event for event in events if isinstance(event, Said))
        latest = next((event for event in reversed(events) if isinstance(event, Moment)), latest)
        live.update(_panel(title, listener, latest, list(said)))

    with Live(_panel(title, listener, None, []), refresh_per_second=12, screen=False) as live:
        yield show


def _panel(title: str, listener: Listener, latest: Moment | None, said: list[Said]) -> Any:
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    scores = latest.smoothed if latest else None
    heading = Text(strongest(scores).upper() if scores else "silence", style=f"bold {_colour(scores)}")
    bars = Table.grid(padding=(0, 1))
    for emotion, score in (scores or {}).items():
        filled = round(score * _BAR_WIDTH)
        bar = Text("█" * filled, style=EMOTION_COLOURS[emotion]) + Text("░" * (_BAR_WIDTH - filled), style="dim")
        bars.add_row(f"{emotion:>10}", bar, f"{score:5.0%}")
    words = [Text(as_line(event), style=EMOTION_COLOURS[strongest(event.scores)]) for event in said]
    footer = f"{latest.end_s:.1f} s · window {latest.end_s - latest.start_s:.1f} s · {latest.lag_s * 1000:.0f} ms behind" if latest else "…"
    if listener.skipped:
        footer += f" · {listener.skipped} looks skipped"
    wave = Text(waveform(listener.recent(listener.window_s), _WAVE_WIDTH), style="cyan")
    return Panel(Group(heading, wave, bars, *words, Text(footer, style="dim")), title=title, subtitle="Ctrl-C ends")


def waveform(samples: np.ndarray, width: int) -> str:
    """The loudness of the samples [S] over time, as `width` characters."""
    if len(samples) < width:
        return " " * width
    peaks = np.abs(samples[: len(samples) // width * width]).reshape(width, -1).max(axis=1)
    # The eye judges loudness by its logarithm: 0 is -50 dB, 1 is full scale.
    heights = np.clip(1 + 20 * np.log10(np.maximum(peaks, 1e-6)) / 50, 0, 1)
    return "".join(_LEVELS[round(h * (len(_LEVELS) - 1))] for h in heights)


def _colour(scores: Scores | None) -> str:
    return EMOTION_COLOURS[strongest(scores)] if scores else "dim"


def _rounded(scores: Scores | None) -> dict[str, float] | None:
    return None if scores is None else {emotion: round(score, 4) for emotion, score in scores.items()}


def chosen_display(wanted: str) -> str:
    """`screen` or `lines` for `auto`, as the output is a terminal or not; everything else as it is."""
    return wanted if wanted != "auto" else ("screen" if sys.stdout.isatty() else "lines")
