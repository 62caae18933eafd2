"""What is checked before an app is served."""

import os
import socket
from pathlib import Path

import pytest

from rapport.core import plugins, storage
from rapport.core.config import load_config
from rapport.core.errors import RapportError
from rapport.ray_jobs.serve_app import check_port, chosen_app, config_kind, last_error, run


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAPPORT_API_KEY", raising=False)


def settings(*flags: str):
    return load_config(config_kind("ser"), flags)


@pytest.mark.parametrize("name", plugins.available("serve_apps"))
def test_where_to_serve_and_what_the_app_takes_are_flags_alike(name: str) -> None:
    config = load_config(config_kind(name), ["--port", "8001"])
    app = plugins.load("serve_apps", name)
    assert (config.host, config.port) == ("127.0.0.1", 8001)
    assert set(app.Args.model_fields) <= set(type(config).model_fields)


def test_nested_settings_reach_the_app() -> None:
    config = settings("--model", "somewhere", "--endpoints.requests.max-pending", "3", "--replicas.max-replicas", "2")
    args = plugins.load("serve_apps", "ser").Args.model_validate(config.model_dump(include={"model", "endpoints", "replicas"}))
    assert (args.model, args.endpoints.requests.max_pending, args.replicas.max_replicas) == ("somewhere", 3, 2)


@pytest.mark.parametrize(
    ("argv", "app"), [([], "ser"), (["--port", "1"], "ser"), (["--app", "companion"], "companion"), (["--app=companion"], "companion")]
)
def test_the_app_is_known_before_its_flags_are(argv: list[str], app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STORAGE", str(tmp_path))
    assert chosen_app(argv) == app


def test_where_a_dialogue_model_was_trained_the_companion_is_served(tmp_path: Path) -> None:
    here = ["--storage", str(tmp_path)]
    assert chosen_app(here) == "ser"
    storage.write_json(str(tmp_path / "models" / "emosds" / "mine" / "config.json"), {"kind": "emosds"})
    assert chosen_app(here) == chosen_app([f"--storage={tmp_path}", "--port", "1"]) == "companion"
    assert chosen_app([*here, "--model", "somewhere"]) == chosen_app([*here, "--app", "ser"]) == "ser"
    assert load_config(config_kind("companion"), here).app == "companion"


def test_the_companion_leaves_out_what_was_not_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = plugins.load("serve_apps", "companion")
    with pytest.raises(RapportError, match=r"train_ser(.|\n)*train_emosds(.|\n)*train_listener(.|\n)*train_coe"):
        app.check_args(app.Args(), str(tmp_path))
    model = tmp_path / "models" / "ser" / "mine"
    storage.write_json(str(model / "config.json"), {"kind": "ser"})
    args = app.check_args(app.Args(conversations=app.ConversationPart(model="off")), str(tmp_path))
    assert (args.emotion.model, args.dialogue.model, args.head_motion.model) == (str(model), "off", "off")
    told = capsys.readouterr().err
    assert "served without dialogue" in told
    assert "--dialogue.model" in told
    assert "conversations" not in told, "what is left out on purpose is not missed"
    with pytest.raises(RapportError, match=r"--head-motion\.model .*absent"):
        app.check_args(app.Args(head_motion=app.HeadMotionPart(model=str(tmp_path / "absent"))), str(tmp_path))


def test_an_app_that_does_not_exist_is_named() -> None:
    with pytest.raises(RapportError, match="no 'sre'"):
        config_kind("sre")


def test_a_server_without_a_key_does_not_listen_to_the_world() -> None:
    with pytest.raises(RapportError, match="RAPPORT_API_KEY"):
        run(settings("--host", "0.0.0.0"))


def test_a_model_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(RapportError, match="does not exist"):
        run(settings("--model", str(tmp_path / "absent")))
    with pytest.raises(RapportError, match="train_ser"):
        run(settings("--storage", str(tmp_path)))


def test_the_newest_model_that_hears_and_replies_is_served(tmp_path: Path) -> None:
    app = plugins.load("serve_apps", "sds")
    home = tmp_path / "models" / "emosds"

    def saved(name: str, stage: int, inputs: str) -> None:
        storage.write_json(str(home / name / "config.json"), {"kind": "emosds", "model": {"inputs": inputs}, "lineage": {"stage": stage}})
        os.utime(home / name / "config.json", (len(list(home.iterdir())),) * 2)

    def chosen() -> str:
        return Path(app.check_args(app.Args(), str(tmp_path)).model).name

    saved("oracle", 3, "text")
    assert chosen() == "oracle", "whose own error tells what it lacks"
    saved("listener", 2, "units+residuals")
    assert chosen() == "listener"
    saved("older", 3, "units")
    saved("newer", 3, "units+residuals")
    saved("begun", 1, "units+residuals")
    assert chosen() == "newer"
    assert app.check_args(app.Args(model=str(home / "older")), str(tmp_path)).model == str(home / "older")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RapportError, match=f"{port}.*--port"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_of_a_stack_trace_only_the_error_is_told() -> None:
    trace = (
        "The deployment failed to start 3 times in a row.\nTraceback (most recent call last):\n  File x\n    raise A(b)\n"
        "ValueError: the first\n\nDuring handling:\nrapport.models.saving.ModelError: the weights do not fit:\n  missing: a\n  missing: b\n"
    )
    assert last_error(trace) == "the weights do not fit:\n  missing: a\n  missing: b"
    assert last_error("not enough CPUs") == "not enough CPUs"
