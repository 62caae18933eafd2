"""The live mode from its command line, with a recording as microphone."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rapport.core.errors import RapportError
from rapport.ray_jobs.listen_ser import ListenSerConfig, listen, run
from rapport.ray_jobs.live.display import as_line, chosen_display, display, waveform
from rapport.ray_jobs.live.listener import Listener, ListenerConfig, Moment, Said
from rapport.ray_jobs.live.sources import Recording
from rapport.ray_jobs.live.words import transcriber_process


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stretches of a buzzing voice with a pause between them, 4.5 s."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    phase = 2 * np.pi * 140 * np.arange(1.5 * 16_000) / 16_000
    vowel = 0.2 * sum(np.sin(k * phase) / k for k in range(1, 20))
    soundfile.write(path, np.concatenate([vowel, np.zeros(16_000), vowel, np.zeros(8_000)]), 16_000)
    return path


def test_a_recording_is_heard_from_end_to_end(ser_model: Path, talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ListenSerConfig(model=str(ser_model), device="cpu", wav=str(talk), speed=0, output="json")
    result = run(config)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    moments = [row for row in rows if row["event"] == "moment"]
    assert len(moments) == result["looks"] == 9
    assert result["window_s"] == 1.5, "the trained length"
    assert result["skipped"] == 0
    assert sum(result["emotions"].values()) == 9
    assert len(result["utterances"]) == 2
    assert all(isinstance(utterance["text"], str) for utterance in result["utterances"]), "pocketsphinx wrote something down"
    spoken = next(row for row in moments if row["emotion"])
    assert sum(spoken["smoothed"].values()) == pytest.approx(1, abs=1e-3)


def test_a_transcriber_that_holds_the_lock_freezes_nothing() -> None:
    # PocketSphinx keeps Python's lock for as long as it computes: on a thread of this process, nothing else would run meanwhile.
    voice = np.random.default_rng(0).normal(0, 0.1, 5 * 16_000).astype(np.float32)
    with transcriber_process("pocketsphinx") as transcribe:
        assert transcribe is not None
        thread = threading.Thread(target=transcribe, args=(voice,))
        began_s = last_s = time.monotonic()
        thread.start()
        longest_s = 0.0
        while thread.is_alive():
            time.sleep(0.005)
            longest_s, last_s = max(longest_s, time.monotonic() - last_s), time.monotonic()
        took_s = time.monotonic() - began_s
    assert longest_s < max(0.1, took_s / 3)


def test_a_wrong_transcriber_is_named() -> None:
    with pytest.raises(RapportError, match="pocketsphinx"), transcriber_process("pocketsphinks"):
        pass


def test_lines_are_printed_where_there_is_no_terminal(ser_model: Path, talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(ListenSerConfig(model=str(ser_model), device="cpu", wav=str(talk), speed=0, transcriber="off", seconds=2.0))
    lines = capsys.readouterr().out.splitlines()
    assert chosen_display("auto") == "lines"
    assert any("%" in line for line in lines)
    assert len(lines) <= 6


def test_the_panel_shows_emotion_words_and_lag(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {"happy": 0.75, "sad": 0.25}
    listener = Listener(lambda samples: scores, 1.0, ListenerConfig(), lambda samples: "hello there", lossless=True)
    with display("screen", "Listening", listener) as show:
        summary = listen(Recording(talk, 0), listener, show)
    shown = capsys.readouterr().out
    for wanted in ("Listening", "HAPPY", "hello there", "75%", "window 1.0 s", "behind"):
        assert wanted in shown
    assert summary.emotions["happy"] > 0


def test_ctrl_c_sums_up_what_was_heard(talk: Path) -> None:
    class Interrupted(Recording):
        def blocks(self):
            yield from list(super().blocks())[:60]
            raise KeyboardInterrupt

    listener = Listener(lambda samples: {"happy": 1.0}, 1.0, ListenerConfig(), lossless=True)
    summary = listen(Interrupted(talk, 0), listener, lambda events: None)
    assert summary.looks == 4
    assert summary.result(listener)["utterances"]


def test_events_read_as_sentences() -> None:
    assert as_line(Moment(0, 1.5, 0, None, None, 0)).endswith("silence")
    assert "happy 90%" in as_line(Moment(0, 1.5, 1, {"happy": 0.9}, {"happy": 0.9}, 0))
    assert as_line(Said(1, 2, {"sad": 0.6}, "oh no")).endswith("said, sad 60%: “oh no”")


def test_a_waveform_is_as_wide_as_asked() -> None:
    ramp = np.linspace(0, 1, 16_000, dtype=np.float32)
    drawn = waveform(ramp, 20)
    assert len(drawn) == 20
    assert drawn[-1] == "█"
    assert waveform(ramp[:5], 20) == " " * 20
