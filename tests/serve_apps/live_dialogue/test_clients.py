"""Clients on a real socket: the one for the terminal, and the example in the README."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import soundfile

from rapport.core.audio import resample
from rapport.core.errors import RapportError
from rapport.ray_jobs.talk_companion import TalkCompanionConfig, run
from rapport.serve_apps.live_dialogue.graph import Services
from tests.serve_apps.live_dialogue.conftest import on_a_socket
from tests.serve_apps.live_dialogue.test_api import DIGEST, KEY
from tests.serve_apps.spoken_dialogue.conftest import HEARD, SAID


@pytest.fixture
def served(services: Services) -> Iterator[Callable[..., str]]:
    """Serves the companion of this process at the address that comes back."""
    with ExitStack() as servers:
        yield lambda **options: servers.enter_context(on_a_socket(services, **options))


@pytest.fixture
def clip(tmp_path: Path, voice: Callable[..., Any]) -> Path:
    soundfile.write(tmp_path / "clip.wav", voice(1.5), 16_000)
    return tmp_path / "clip.wav"


def test_the_terminal_client_talks(served: Callable[..., str], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reply = clip.with_name("reply.wav")
    result = run(TalkCompanionConfig(url=served(), wav=str(clip), reply=str(reply)))
    (exchange,) = result["exchanges"]
    assert (exchange["said"], exchange["emotion"]) == (HEARD, "sad")
    assert (exchange["reply"], exchange["reply_emotion"], exchange["status"]) == (SAID, "neutral", "completed")
    assert exchange["first_audio_byte_ms"] > 400, "the pause that ends a turn is part of it"
    assert result["poses"] >= 30
    assert result["errors"] == []
    assert soundfile.info(reply).duration > 1
    told = capsys.readouterr().err
    assert f"you: {HEARD}" in told
    assert re.search(r"\d\d?%", told), "the emotion while somebody speaks"


def test_events_can_be_had_as_json(served: Callable[..., str], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(TalkCompanionConfig(url=served(), wav=str(clip), output="json"))
    kinds = {json.loads(line)["type"] for line in capsys.readouterr().err.splitlines() if line.startswith("{")}
    assert {"x_emotion.delta", "x_head_motion.delta", "response.done"} <= kinds


def test_a_key_is_taken_from_the_environment(served: Callable[..., str], clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = served(key_digest=DIGEST)
    monkeypatch.delenv("RAPPORT_API_KEY", raising=False)
    with pytest.raises(RapportError, match=r"401.*RAPPORT_API_KEY"):
        run(TalkCompanionConfig(url=url, wav=str(clip)))
    monkeypatch.setenv("RAPPORT_API_KEY", KEY)
    assert run(TalkCompanionConfig(url=url, wav=str(clip)))["exchanges"]


def test_where_nobody_serves_that_is_told(clip: Path) -> None:
    with pytest.raises(RapportError, match="make serve"):
        run(TalkCompanionConfig(url="http://127.0.0.1:9", wav=str(clip)))


def test_the_example_in_the_readme_runs(served: Callable[..., str], repository: Path, tmp_path: Path, voice: Callable[..., Any]) -> None:
    code = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [text for text in code if "realtime.connect" in text]
    assert len(example.splitlines()) <= 32
    soundfile.write(tmp_path / "clip-24k.wav", resample(voice(1.5), 16_000, 24_000), 24_000)
    here = example.replace("http://127.0.0.1:8000", served())
    done = subprocess.run([sys.executable, "-c", here], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"you: {HEARD}" in done.stdout
    assert f"reply: {SAID}" in done.stdout
