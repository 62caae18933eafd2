"""Listen to a microphone and show the speaker's emotion while they speak, with the words beside it.

    python -m rapport.ray_jobs.listen_ser                              # the standard microphone, the newest trained model
    python -m rapport.ray_jobs.listen_ser --list-microphones
    python -m rapport.ray_jobs.listen_ser --wav talk.wav               # a recording as stand-in, at the speed of speech
    python -m rapport.ray_jobs.listen_ser --wav talk.wav --speed 0 --output json

Every `--listener.hop-s` the model hears the whole last window, of the length it was trained on; its probabilities are smoothed over time.
Silence is told as silence. A pause ends an utterance, which is then judged and transcribed as a whole, on threads of their own.
The microphone needs the extra `live` (pip install 'rapport[live]').
"""

import sys
import time
from collections import Counter, deque
from typing import Any, Literal

import numpy as np
from pydantic import Field

from rapport.core.audio import SAMPLE_RATE_HZ
from rapport.core.config import JobConfig
from rapport.core.emotions import strongest
from rapport.models.find import find_model
from rapport.ray_jobs.live.display import Show, as_row, chosen_display, display
from rapport.ray_jobs.live.listener import Listener, ListenerConfig, Moment, Said
from rapport.ray_jobs.live.sources import Microphone, Recording, Source, microphones
from rapport.ray_jobs.live.words import transcriber_process
from rapport.ray_jobs.runtime import job

_SHOWN_EVERY_S = 0.08


class ListenSerConfig(JobConfig):
    """What to listen to, with which model."""

    model: str = ""
    """Folder or URI of a trained model; empty takes the newest under the storage root."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model computes."""
    microphone: str | None = None
    """Number or part of the name of the input device; the standard one unless given."""
    list_microphones: bool = False
    """Only show which input devices there are."""
    wav: str | None = None
    """Listen to this recording instead of a microphone."""
    speed: float = Field(default=1.0, ge=0)
    """Play the recording this many times as fast as it was spoken; 0 is as fast as the model can hear."""
    seconds: float | None = Field(default=None, gt=0)
    """Stop after this much sound; otherwise at the end of the recording, or at Ctrl-C."""
    transcriber: str = "pocketsphinx"
    """Who writes down the words: `pocketsphinx` (embedded), `whisper:<hub id or folder>`, or `off`."""
    window_s: float | None = Field(default=None, ge=0.25, le=30)
    """Length of a window; the one that the model was trained on unless given."""
    output: Literal["auto", "screen", "lines", "json"] = "auto"
    """A live panel, one line an event, or one JSON object an event; by default a panel on a terminal and lines elsewhere."""
    listener: ListenerConfig = ListenerConfig()
    """When to look and how to smooth."""


class Summary:
    """What a session amounts to, however long it lasts."""

    def __init__(self) -> None:
        self.looks = 0
        self.emotions: Counter[str] = Counter()
        self.longest_lag_s = 0.0
        self.utterances: deque[dict[str, Any]] = deque(maxlen=1000)

    def add(self, events: list[Moment | Said]) -> None:
        """Count these events in."""
        for event in events:
            if isinstance(event, Said):
                self.utterances.append(as_row(event))
                continue
            self.looks += 1
            self.longest_lag_s = max(self.longest_lag_s, event.lag_s)
            self.emotions[strongest(event.smoothed) if event.smoothed else "silence"] += 1

    def result(self, listener: Listener) -> dict[str, Any]:
        """The last line of the job."""
        return {
            "window_s": listener.window_s,
            "looks": self.looks,
            "skipped": listener.skipped,
            "longest_lag_s": round(self.longest_lag_s, 3),
            "emotions": dict(self.emotions.most_common()),
            "utterances": list(self.utterances),
        }


def run(config: ListenSerConfig) -> dict[str, Any]:
    """Listen until the source ends, and sum up what was heard."""
    if config.list_microphones:
        found = microphones()
        print("\n".join(found) or "no microphone", file=sys.stderr)
        return {"microphones": found}
    source: Source = Recording(config.wav, config.speed) if config.wav else Microphone(config.microphone)

    from rapport.models.ser.inference import Predictor

    predictor = Predictor.from_pretrained(find_model(config.model, "ser", config.storage), device=config.device)

    def predict(samples: np.ndarray) -> dict[str, float]:
        return predictor.predict([samples])[0].scores

    window_s = config.window_s or predictor.window_s
    with transcriber_process(config.transcriber) as transcribe:
        listener = Listener(predict, window_s, config.listener, transcribe, lossless=not source.paced)
        with display(chosen_display(config.output), f"Listening to {source.name}", listener) as show:
            return listen(source, listener, show, config.seconds).result(listener)


def listen(source: Source, listener: Listener, show: Show, seconds: float | None = None) -> Summary:
    """Feed the source to the listener until it ends, `seconds` are over or Ctrl-C is pressed, showing what becomes known."""
    summary = Summary()

    def tell() -> None:
        events = listener.take_events()
        summary.add(events)
        show(events)

    listener.start()
    heard_s, told_s = 0.0, 0.0
    try:
        for block in source.blocks():
            listener.feed(block)
            heard_s += len(block) / SAMPLE_RATE_HZ
            if time.monotonic() - told_s >= _SHOWN_EVERY_S:
                tell()
                told_s = time.monotonic()
            if seconds is not None and heard_s >= seconds:
                break
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # the usual way to end: what was heard is still summed up
    listener.close()
    tell()
    return summary


if __name__ == "__main__":
    job(ListenSerConfig, run)
