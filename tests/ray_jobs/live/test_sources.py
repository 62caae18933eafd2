"""A recording that plays as a microphone, and microphones themselves."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from rapport.core.errors import RapportError
from rapport.ray_jobs.live.sources import Microphone, Recording, microphones


@pytest.fixture
def stereo(tmp_path: Path) -> Path:
    path = tmp_path / "stereo.wav"
    time_s = np.arange(round(0.6 * 44_100)) / 44_100
    soundfile.write(path, np.stack([0.2 * np.sin(440 * time_s), 0.4 * np.sin(440 * time_s)], axis=1), 44_100)
    return path


def test_a_recording_comes_as_16_khz_mono_blocks(stereo: Path) -> None:
    blocks = list(Recording(stereo, speed=0).blocks())
    assert all(len(block) == 480 for block in blocks[:-1])
    assert sum(map(len, blocks)) == 9600
    assert np.concatenate(blocks).max() == pytest.approx(0.3, abs=0.01), "channels are averaged"


@pytest.mark.parametrize(("speed", "wanted_s"), [(1.0, 0.6), (3.0, 0.2)])
def test_a_recording_is_paced(stereo: Path, speed: float, wanted_s: float) -> None:
    source = Recording(stereo, speed)
    began_s = time.monotonic()
    for _ in source.blocks():
        pass
    assert wanted_s <= time.monotonic() - began_s < wanted_s + 0.5
    assert source.paced
    assert not Recording(stereo, 0).paced


class FakePortAudio:
    """One microphone that only knows 48 kHz."""

    PortAudioError = type("PortAudioError", (Exception,), {})
    default = SimpleNamespace(device=(1, 0))

    def query_devices(self, device=None, kind=None):
        devices = [
            {"index": 0, "name": "Speaker", "max_input_channels": 0, "default_samplerate": 44_100.0},
            {"index": 1, "name": "Desk microphone", "max_input_channels": 2, "default_samplerate": 48_000.0},
        ]
        if kind is None:
            return devices
        if device not in (None, 1, "Desk"):
            raise ValueError(f"No input device matching {device!r}")
        return devices[1]

    def check_input_settings(self, **settings):
        if settings["samplerate"] != 48_000:
            raise self.PortAudioError("Invalid sample rate")

    class InputStream:
        def __init__(self, samplerate, blocksize, callback, **settings):
            self.samplerate, self.blocksize, self.callback = samplerate, blocksize, callback

        def __enter__(self):
            for _ in range(20):
                self.callback(np.full((self.blocksize, 1), 0.25, np.float32), self.blocksize, None, None)

        def __exit__(self, *problem):
            return None


@pytest.fixture
def port_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio())


def test_a_microphone_of_another_rate_is_resampled(port_audio) -> None:
    blocks = Microphone("Desk").blocks()
    heard = np.concatenate([next(blocks) for _ in range(20)])
    assert 0.4 * 16_000 < len(heard) <= 0.6 * 16_000
    assert heard[len(heard) // 2] == pytest.approx(0.25, abs=0.01)
    blocks.close()  # type: ignore[attr-defined]


def test_microphones_are_listed_and_a_wrong_one_is_refused(port_audio) -> None:
    assert microphones() == ["* 1: Desk microphone (48000 Hz)"]
    with pytest.raises(RapportError, match="--list-microphones"):
        Microphone("Kitchen")


def test_without_sounddevice_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(RapportError, match=r"rapport\[live\]"):
        Microphone()
