"""The companion on a real socket, a sentence for a fake microphone, and a Chromium that is installed, or a skip."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from rapport.core.speech import Voice
from rapport.models.backends.tts import espeak
from rapport.serve_apps.live_dialogue.graph import Services
from tests.serve_apps.conftest import InProcess as EmotionInProcess
from tests.serve_apps.live_dialogue.conftest import heads_of, on_a_socket, services_of
from tests.serve_apps.spoken_dialogue.conftest import InProcess as DialogueInProcess
from tests.serve_apps.spoken_dialogue.conftest import ScriptedEngine

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# How much sound the page has begun to play, in seconds.
_SOUNDED = """
window.sounded_s = 0;
const { start } = AudioBufferSourceNode.prototype;
AudioBufferSourceNode.prototype.start = function (...when) {
  window.sounded_s += this.buffer.duration;
  return start.apply(this, when);
};
"""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def companion(service: EmotionInProcess, listener_model: Path) -> Iterator[Services]:
    """All parts but that for conversations, for every page."""
    with pytest.MonkeyPatch.context() as patch:
        yield services_of(service, DialogueInProcess(ScriptedEngine()), heads_of(listener_model, patch)())


@pytest.fixture(scope="session")
def url(companion: Services) -> Iterator[str]:
    """Where the companion is served."""
    with on_a_socket(companion) as address:
        yield address


@pytest.fixture(scope="session")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is said into the microphone: a moment of silence, then a sentence."""
    engine = espeak.load()
    samples, rate_hz = engine.speak("I missed the last bus, and now it rains.", Voice(engine.voices["female"][0]))
    file = tmp_path_factory.mktemp("microphone") / "sentence.wav"
    soundfile.write(file, np.concatenate([np.zeros(rate_hz // 2, np.float32), samples]), rate_hz)
    return file


@pytest.fixture(scope="module")
def browser(sentence: Path) -> Iterator["Browser"]:
    """A browser whose microphone hears the sentence. Of one module, because Playwright runs an event loop where tests run."""
    sync_api = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    heard = f"--use-file-for-fake-audio-capture={sentence}%noloop"
    flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", heard, "--autoplay-policy=no-user-gesture-required"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")  # root has none
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page_at(browser: "Browser") -> Iterator[Callable[..., "Page"]]:
    """Opens a page in a browser of its own; what a page complains of in its console fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(address: str, *, quiet: bool = True, **options: Any) -> "Page":
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, "reduced_motion": "reduce", **options})
        context.set_default_timeout(60_000)
        context.add_init_script(_SOUNDED)
        contexts.append(context)
        page = context.new_page()
        if quiet:
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
