"""A tour does each step once, tells the way on when one fails, and does again what has changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs.local_cluster import LocalCluster, Outcome
from rapport.ray_jobs.tour.narrator import duration, narrator
from rapport.ray_jobs.tour.steps import Done, Step, take


class PaperCluster:
    """Answers submissions from a list, and remembers them."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.commands: list[str] = []

    def run(self, command: str, told: Callable[[str], None]) -> Outcome:
        self.commands.append(command)
        told("working")
        return self.outcomes.pop(0)

    def submit_line(self, command: str) -> str:
        return f"ray job submit -- {command}"


def step(name: str, *arguments: str, lasting: bool = True) -> Step:
    return Step(name, f"Do {name}", "make_corpus", arguments, lambda result: f"{result['clips']} clips", lasting)


def good(clips: int, **more: Any) -> Outcome:
    return Outcome(True, {"clips": clips, **more}, "", 1.5)


def tour(steps: list[Step], cluster: PaperCluster, root: Path, code: str = "v1") -> list[Done]:
    with narrator([s.title for s in steps]) as heard:
        return take(steps, cast(LocalCluster, cluster), heard, str(root), code)


def test_steps_run_in_order_and_say_what_came_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = PaperCluster(good(3), good(4))
    done = tour([step("one", "--speakers", "3"), step("two words")], cluster, tmp_path)
    assert cluster.commands == ["python -m rapport.ray_jobs.make_corpus --speakers 3", "python -m rapport.ray_jobs.make_corpus"]
    assert [d.outcome for d in done] == ["3 clips", "4 clips"]
    assert capsys.readouterr().err == "[1/2] Do one ...\n      3 clips (1.5 s)\n[2/2] Do two words ...\n      4 clips (1.5 s)\n"


def test_a_second_tour_repeats_nothing_that_lasts(tmp_path: Path) -> None:
    steps = [step("one"), step("serve", lasting=False)]
    tour(steps, PaperCluster(good(3), good(0)), tmp_path)
    again = PaperCluster(good(0))
    done = tour(steps, again, tmp_path)
    assert len(again.commands) == 1
    assert [d.earlier for d in done] == [True, False]
    assert done[0].outcome == "3 clips (from an earlier run)"


def test_a_changed_command_changed_code_or_lost_output_is_done_again(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    tour([step("one")], PaperCluster(good(3, folder=str(folder))), tmp_path)
    assert not tour([step("one", "--seed", "1")], PaperCluster(good(5)), tmp_path)[0].earlier
    assert not tour([step("one")], PaperCluster(good(3, folder=str(folder))), tmp_path, code="v2")[0].earlier
    assert tour([step("one")], PaperCluster(), tmp_path, code="v2")[0].earlier
    folder.rmdir()
    assert not tour([step("one")], PaperCluster(good(3)), tmp_path, code="v2")[0].earlier


def test_what_follows_changed_output_is_done_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    steps = [step("one"), step("two")]
    tour(steps, PaperCluster(good(1, folder=str(tmp_path / "a")), good(2)), tmp_path)
    (tmp_path / "a").rmdir()
    again = PaperCluster(good(1, folder=str(tmp_path / "b")), good(2))
    assert [d.earlier for d in tour(steps, again, tmp_path)] == [False, False]


def test_a_failing_step_shows_the_end_of_its_log_and_the_way_on(tmp_path: Path) -> None:
    log = "\n".join(f"line {i}" for i in range(100))
    with pytest.raises(RapportError) as caught:
        tour([step("one"), step("two", "--speakers", "a b")], PaperCluster(good(1), Outcome(False, {}, log, 1)), tmp_path)
    told = str(caught.value)
    assert "'two'" in told
    assert "line 99" in told
    assert "line 60" not in told
    assert "make quickstart" in told
    assert "ray job submit -- python -m rapport.ray_jobs.make_corpus --speakers 'a b'" in told


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (65, "1 min 05 s"), (3601, "60 min 01 s")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_terminal_shows_done_running_and_coming_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from rapport.ray_jobs.tour.narrator import _Screen

    screen = _Screen(["make", "train", "serve"])
    screen.begin(0)
    screen.end("480 clips", 3)
    screen.begin(1)
    screen.say("epoch 3/12")
    console = Console(width=100, record=True, force_terminal=True)
    with console.capture() as captured:
        console.print(screen)
    lines = captured.get().splitlines()
    assert "✓" in lines[0]
    assert "480 clips" in lines[0]
    assert "epoch 3/12" in lines[1]
    assert "serve" in lines[2]
