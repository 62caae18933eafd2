"""The companion's page in a real browser: somebody speaks into its microphone, writes to it, and loses the server."""

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rapport.core.emotions import EMOTIONS
from rapport.serve_apps.live_dialogue.graph import Services
from tests.serve_apps.live_dialogue.conftest import on_a_socket
from tests.serve_apps.live_dialogue.test_api import DIGEST, KEY
from tests.serve_apps.spoken_dialogue.conftest import HEARD, SAID

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    PageAt = Callable[..., Page]

# Waiting costs nothing where all goes well.
expect.set_options(timeout=60_000)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def turn(page: "Page", who: str, number: int = 0) -> Any:
    return page.locator(f"#turns .turn.{who}").nth(number)


def reads(element: Any, text: str) -> None:
    expect(element.locator(".words")).to_have_text(text)


def pose(page: "Page") -> str:
    return str(page.evaluate("document.getElementById('head').toDataURL()"))


def is_ready(page: "Page") -> None:
    expect(page.locator("#facts")).to_contain_text("emosds")


def test_who_speaks_is_heard_answered_and_nodded_at(page_at: "PageAt", url: str) -> None:
    page = page_at(url)
    is_ready(page)
    before = pose(page)
    page.get_by_role("button", name="Start talking").click()
    expect(page.locator("#state")).to_have_text("Connected")
    expect(page.locator("#emotion")).to_have_text(re.compile(rf"^({'|'.join(EMOTIONS)}) \d+ %$"))
    reads(turn(page, "user"), HEARD)
    expect(turn(page, "user").locator(".emotion")).to_have_text("sad")
    reads(turn(page, "assistant"), SAID)
    expect(turn(page, "assistant").locator(".emotion")).to_have_text("neutral")
    assert pose(page) != before, "the head moves"
    assert page.evaluate("sounded_s") > 1, "the reply is played"
    expect(page.locator("#latency")).to_have_text(re.compile(r"^Reply after \d+\.\d\d s"))
    expect(page.locator("#said")).to_contain_text(f"You, sad: {HEARD}")
    expect(page.locator("#said")).to_contain_text(f"Reply, neutral: {SAID}")
    expect(page.get_by_role("button", name="Stop the sound")).to_be_hidden()
    page.get_by_role("button", name="Stop talking").click()
    expect(page.get_by_role("button", name="Start talking")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#turns .turn")).to_have_count(0)
    expect(page.locator("#state")).to_have_text("Ready")


def test_a_recording_is_a_turn_whatever_pauses_it_has(page_at: "PageAt", url: str, sentence: Path) -> None:
    page = page_at(url)
    is_ready(page)
    page.get_by_label("Send a recording").set_input_files(sentence)
    expect(page.locator("#busy")).to_have_text("Saying sentence.wav …")
    reads(turn(page, "user"), HEARD)
    reads(turn(page, "assistant"), SAID)
    expect(page.locator("#busy")).to_be_hidden()
    expect(page.locator("#turns .turn")).to_have_count(2)
    page.get_by_label("Send a recording").set_input_files({"name": "no.wav", "mimeType": "audio/wav", "buffer": b"no sound at all"})
    expect(page.get_by_role("alert")).to_have_text("This browser cannot read no.wav as sound")


def test_the_keyboard_is_enough(page_at: "PageAt", url: str) -> None:
    page = page_at(url)
    is_ready(page)
    names = []
    for _ in range(12):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        if names[-1] == "words":
            break
    assert names[:2] == ["Skip to the microphone", "talk"]
    assert {"file", "microphone", "voice", "aloud", "words"} <= set(names)
    page.keyboard.type("I missed it again.")
    page.keyboard.press("Enter")
    reads(turn(page, "user"), "I missed it again.")
    expect(page.get_by_role("button", name="Stop the sound")).to_be_visible()
    reads(turn(page, "assistant"), SAID)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Stop the sound")).to_be_hidden()
    expect(turn(page, "assistant").locator(".remark")).to_have_text("broken off")
    expect(page.locator("#error")).to_be_hidden()


def test_it_comes_back_when_the_server_does(page_at: "PageAt", companion: Services) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ExitStack() as server:
        page = page_at(server.enter_context(on_a_socket(companion, port=port)), quiet=False)
        is_ready(page)
        page.get_by_label("A message in writing").fill("Are you there?")
        page.keyboard.press("Enter")
        reads(turn(page, "assistant"), SAID)
    expect(page.locator("#state")).to_have_text(re.compile("^Connection lost, trying again in"))
    with on_a_socket(companion, port=port):
        expect(page.locator("#state")).to_have_text("Connected")
        page.get_by_label("A message in writing").fill("Still there?")
        page.keyboard.press("Enter")
        reads(turn(page, "assistant", 1), SAID)
        engine: Any = companion.dialogue.engine  # type: ignore[attr-defined]
        assert [said.text for said in engine.asked[-1].history] == ["Are you there?", SAID], "the conversation goes on"


@pytest.mark.parametrize("width", [320, 390, 800, 1400])
def test_no_screen_scrolls_sideways(page_at: "PageAt", url: str, width: int) -> None:
    page = page_at(url, viewport={"width": width, "height": 800})
    is_ready(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for id in ("talk", "words", "head", "timeline"):
        box = page.locator(f"#{id}").bounding_box()
        assert box is not None
        assert 0 <= box["x"] < box["x"] + box["width"] <= width


def test_text_can_be_read_in_light_and_dark(page_at: "PageAt", url: str) -> None:
    papers = set()
    for scheme in ("light", "dark"):
        page = page_at(url, color_scheme=scheme)
        is_ready(page)
        for selector in ("h1", ".soft", "#talk", "#state", ".parts li", "#words", "summary"):
            ink, paper = page.locator(selector).first.evaluate(_COLOURS)
            assert _contrast(ink, paper) >= 4.5, (scheme, selector, ink, paper)
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2


_COLOURS = """(element) => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  let behind = element;
  while (numbers(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  return [numbers(getComputedStyle(element).color), numbers(getComputedStyle(behind).backgroundColor)];
}"""


def _contrast(ink: list[float], paper: list[float]) -> float:
    """As WCAG defines it."""

    def light(colour: list[float]) -> float:
        parts = np.array(colour[:3]) / 255
        return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    lighter, darker = sorted([light(ink), light(paper)], reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_key_is_asked_for_and_sent(page_at: "PageAt", companion: Services) -> None:
    with on_a_socket(companion, key_digest=DIGEST) as url:
        page = page_at(url, quiet=False)
        expect(page.get_by_role("alert")).to_contain_text("No key")
        page.get_by_label("This server wants a key").fill(KEY)
        page.get_by_role("button", name="Use key").click()
        is_ready(page)
        page.get_by_label("A message in writing").fill("Hello.")
        page.keyboard.press("Enter")
        reads(turn(page, "assistant"), SAID)


def test_what_is_missing_is_told_with_how_to_get_it(page_at: "PageAt", companion: Services, sentence: Path) -> None:
    there = replace(companion.present, dialogue=False, head_motion=False)
    with on_a_socket(replace(companion, present=there)) as url:
        page = page_at(url, quiet=False)  # it outlives the server
        parts = page.locator("#parts")
        expect(parts).to_contain_text("no replies: trained by make emosds")
        expect(parts).to_contain_text("no listener's head: trained by make listener")
        expect(page.get_by_label("A message in writing")).to_be_disabled()
        expect(page.locator("#head")).to_be_hidden()
        page.get_by_label("Send a recording").set_input_files(sentence)
        reads(turn(page, "user"), "kids are talking by the door")
        expect(page.locator("#emotion")).to_contain_text("%")
        expect(page.locator("#error")).to_be_hidden()


def test_the_microphone_comes_at_the_rate_of_the_interface(page_at: "PageAt", url: str) -> None:
    page = page_at(url)
    for device_hz in (48_000, 44_100, 16_000):
        found = np.array(page.evaluate(_RESAMPLED, device_hz), float)[4_800:] / 32768
        level = np.abs(np.fft.rfft(found * np.hanning(len(found)))) / len(found) * 4
        hz = np.fft.rfftfreq(len(found), 1 / 24_000)
        assert level[np.abs(hz - 1_000) < 20].max() == pytest.approx(0.4, rel=0.05), device_hz
        assert level[np.abs(hz - 1_000) > 60].max() < 0.001, "what 24 kHz cannot hold is gone"


_RESAMPLED = """async (deviceHz) => {
  const context = new OfflineAudioContext(1, deviceHz, deviceHz);
  await context.audioWorklet.addModule("assets/microphone.js");
  const collector = new AudioWorkletNode(context, "collector", { numberOfOutputs: 1, processorOptions: { samples: 2400, rate: 24000 } });
  const pieces = [];
  collector.port.onmessage = ({ data }) => pieces.push(...new Int16Array(data.pcm));
  for (const hz of deviceHz > 24000 ? [1000, 15000] : [1000]) {
    const tone = new OscillatorNode(context, { frequency: hz });
    tone.connect(new GainNode(context, { gain: 0.4 })).connect(collector);
    tone.start();
  }
  collector.connect(context.destination);
  await context.startRendering();
  await new Promise((resolve) => setTimeout(resolve, 200));
  return pieces;
}"""
