"""Progress in a log: a line at the end, and now and then before."""

import pytest

from rapport.core import progress as module
from rapport.core.progress import progress


def test_a_log_gets_one_line_when_the_work_is_quick(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("decoding", 4) as advance:
        for _ in range(2):
            advance(2)
    assert capsys.readouterr().err == "decoding: 4 of 4, 0 s\n"


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINE_EVERY_S", 0.0)
    with progress("decoding", 3) as advance:
        advance(1)
        advance(1)
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == ["decoding: 1 of 3", "decoding: 2 of 3"]


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True)
    with progress("decoding", 3) as advance:
        advance(3)
    assert "3/3" in capsys.readouterr().err
