"""Where live sound comes from: a microphone, or a recording that plays as one. Blocks are float32 [S], 16 kHz, one channel."""

import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rapport.core.audio import SAMPLE_RATE_HZ, decode, resample, to_mono
from rapport.core.errors import RapportError

BLOCK_S = 0.03
_BLOCK = round(BLOCK_S * SAMPLE_RATE_HZ)
_LONGEST_RECORDING_S = 4 * 3600.0
_QUEUED_BLOCKS = 200


class Source(Protocol):
    """Something that is heard."""

    @property
    def name(self) -> str:
        """What it is, for people."""
        ...

    @property
    def paced(self) -> bool:
        """Whether blocks come at the speed of sound, so that a slow listener must skip."""
        ...

    def blocks(self) -> Iterator[np.ndarray]:
        """Blocks as they come, until the source ends."""
        ...


class Recording:
    """An audio file as a stand-in for a microphone: `speed` times as fast as it was spoken, or with 0 as fast as it is heard."""

    def __init__(self, path: str | Path, speed: float = 1.0) -> None:
        samples, rate_hz = decode(path, max_duration_s=_LONGEST_RECORDING_S)
        self.samples = resample(to_mono(samples), rate_hz, SAMPLE_RATE_HZ)
        self.speed = speed
        self.name = str(path)
        self.paced = speed > 0

    def blocks(self) -> Iterator[np.ndarray]:
        """The recording, block by block; each comes when its last sample would have been spoken."""
        began_s = time.monotonic()
        for first in range(0, len(self.samples), _BLOCK):
            block = self.samples[first : first + _BLOCK]
            if self.paced:
                due_s = began_s + (first + len(block)) / SAMPLE_RATE_HZ / self.speed
                time.sleep(max(0.0, due_s - time.monotonic()))
            yield block


class Microphone:
    """An input device. Needs the extra `live`: `pip install rapport[live]`.

    Raises RapportError when `sounddevice` is missing or the device cannot be opened.
    """

    paced = True

    def __init__(self, device: str | None = None) -> None:
        self._audio = _sounddevice()
        try:
            facts: dict[str, Any] = self._audio.query_devices(int(device) if device and device.isdecimal() else device, "input")
        except (ValueError, self._audio.PortAudioError) as error:
            wanted = f"no microphone {device!r}" if device else "this computer has no microphone"
            hint = "--list-microphones shows what there is, --wav FILE plays a recording instead"
            raise RapportError(f"{wanted}: {error}; {hint}") from error
        self.name = str(facts["name"])
        self._index = int(facts["index"])
        self._own_rate_hz = int(facts["default_samplerate"])
        self._arrived: queue.Queue[np.ndarray] = queue.Queue(_QUEUED_BLOCKS)

    def blocks(self) -> Iterator[np.ndarray]:
        """What the microphone hears, until the caller stops asking."""
        rate_hz = SAMPLE_RATE_HZ if self._opens_at(SAMPLE_RATE_HZ) else self._own_rate_hz
        with self._audio.InputStream(
            samplerate=rate_hz, channels=1, dtype="float32", device=self._index, blocksize=round(BLOCK_S * rate_hz), callback=self._keep
        ):
            yield from _at_16_khz(self._fetched(), rate_hz)

    def _fetched(self) -> Iterator[np.ndarray]:
        while True:
            yield self._arrived.get()

    def _opens_at(self, rate_hz: int) -> bool:
        try:
            self._audio.check_input_settings(device=self._index, channels=1, dtype="float32", samplerate=rate_hz)
        except self._audio.PortAudioError:
            return False
        return True

    def _keep(self, indata: np.ndarray, frames: int, times: Any, status: Any) -> None:
        # Runs on the audio thread, which must never wait: the oldest block goes when nobody fetches them.
        if self._arrived.full():
            try:
                self._arrived.get_nowait()
            except queue.Empty:
                return
        self._arrived.put_nowait(indata[:, 0].copy())


def microphones() -> list[str]:
    """The input devices of this computer as `number: name`, the standard one marked with a star."""
    audio = _sounddevice()
    standard = audio.default.device[0]
    found = [d for d in audio.query_devices() if d["max_input_channels"] > 0]
    return [f"{'*' if d['index'] == standard else ' '} {d['index']}: {d['name']} ({d['default_samplerate']:.0f} Hz)" for d in found]


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise RapportError("the microphone needs the package sounddevice: pip install 'rapport[live]', or use --wav FILE") from error
    except OSError as error:
        raise RapportError(f"the microphone needs the PortAudio library ({error}): apt install libportaudio2, or use --wav FILE") from error
    return sounddevice


def _at_16_khz(blocks: Iterator[np.ndarray], rate_hz: int) -> Iterator[np.ndarray]:
    if rate_hz == SAMPLE_RATE_HZ:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
