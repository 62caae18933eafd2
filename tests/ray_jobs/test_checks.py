"""The doctor finds what is wrong, says what to do, and stops for nothing else."""

import os
import socket
from pathlib import Path

import pytest

from rapport.core.errors import RapportError
from rapport.ray_jobs import checks
from rapport.ray_jobs.checks import Note, look


def test_findings_keep_their_order_and_tell_missing_from_noteworthy() -> None:
    def note() -> str:
        raise Note("slow")

    def missing() -> str:
        raise RapportError("install it")

    def bug() -> str:
        raise ZeroDivisionError("oh")

    findings = look("node", {"a": lambda: "fine", "b": note, "c": missing, "d": bug})
    assert [(f.check, f.state, f.found) for f in findings] == [
        ("a", "ok", "fine"),
        ("b", "note", "slow"),
        ("c", "missing", "install it"),
        ("d", "missing", "ZeroDivisionError: oh"),
    ]


def test_this_machine_has_what_every_machine_needs(tmp_path: Path) -> None:
    findings = look("here", checks.worker_checks(str(tmp_path)))
    assert not [f for f in findings if f.state == "missing"]
    assert {f.check for f in findings} >= {"storage", "audio formats", "embedded voice", "embedded ears", "GPU"}
    assert not list(tmp_path.iterdir()), "the probe is removed again"


def test_storage_that_cannot_be_written_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RapportError, match="RAPPORT_STORAGE"):
        checks.storage_writable(str(tmp_path / "file"))


def test_little_space_is_worth_a_note(tmp_path: Path) -> None:
    with pytest.raises(Note, match="GiB are free"):
        checks.storage_writable(str(tmp_path), wanted_gib=1e9)


def test_a_file_that_another_machine_wrote_must_be_seen(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="shared folder or a bucket"):
        checks.storage_shared(str(tmp_path / "marker"))
    (tmp_path / "marker").write_text("")
    assert checks.storage_shared(str(tmp_path / "marker"))


def test_a_token_that_others_can_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(Note, match="get-auth-token"):
        checks.token()
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(RapportError, match="chmod 600"):
        checks.token()
    (tmp_path / "token").chmod(0o600)
    assert "you alone" in checks.token()


def test_a_port_in_use_is_seen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not checks.port_is_free(server.getsockname()[1])
        free = server.getsockname()[1]
    assert checks.port_is_free(free)


def test_an_upload_beyond_rays_limit_names_the_largest_file(tmp_path: Path) -> None:
    with open(tmp_path / "huge.bin", "wb") as file:
        os.truncate(file.fileno(), 600 * 2**20)
    (tmp_path / "code.py").write_text("pass")
    with pytest.raises(RapportError, match=r"huge\.bin \(600 MiB\)"):
        checks.upload_size(tmp_path)
    (tmp_path / ".rayignore").write_text("*.bin\n")
    assert "2 files" in checks.upload_size(tmp_path)


def test_an_offline_hub_is_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Note, match="by folder"):
        checks.hub()
