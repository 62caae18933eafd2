"""Talk with a served companion from a terminal: a microphone or a recording in, emotions, words and replies out.

    make serve                                                               # in another terminal
    python -m rapport.ray_jobs.talk_companion                                # the standard microphone; use headphones
    python -m rapport.ray_jobs.talk_companion --wav talk.wav --reply reply.wav
    python -m rapport.ray_jobs.talk_companion --url https://example.org --output json

Each turn ends at a pause. Expect the emotion every half second while you speak, then your words, and the reply with how long you waited for
it. Who speaks into a reply ends it: with loudspeakers the microphone would hear the reply itself. A key is taken from RAPPORT_API_KEY.
The microphone needs the extra `live` (pip install 'rapport[live]').
"""

import asyncio
import json
import os
import sys
from typing import Any, Literal

import numpy as np
from pydantic import Field

from rapport.core import storage
from rapport.core.audio import encode_wav, from_pcm16
from rapport.core.config import JobConfig
from rapport.core.errors import RapportError
from rapport.ray_jobs.live.call import RATE_HZ, Call, Lines
from rapport.ray_jobs.live.sources import Microphone, Recording, Source, microphones
from rapport.ray_jobs.runtime import job


class TalkCompanionConfig(JobConfig):
    """With which server to talk, and from what."""

    url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://")
    """Address of the server."""
    voice: str = "alloy"
    """Who speaks the replies."""
    microphone: str | None = None
    """Number or part of the name of the input device; the standard one unless given."""
    list_microphones: bool = False
    """Only show which input devices there are."""
    wav: str | None = None
    """Speak this recording instead of a microphone, at the speed of speech."""
    seconds: float | None = Field(default=None, gt=0)
    """Stop after this much sound; otherwise at the end of the recording, or at Ctrl-C."""
    reply: str | None = None
    """Write all replies to this WAV file."""
    patience_s: float = Field(default=60.0, gt=0)
    """How long to wait for the last reply once all is said."""
    output: Literal["lines", "json"] = "lines"
    """Lines for people, or one JSON object an event."""


def run(config: TalkCompanionConfig) -> dict[str, Any]:
    """Talk until the source ends, and sum up what was said."""
    if config.list_microphones:
        found = microphones()
        print("\n".join(found) or "no microphone", file=sys.stderr)
        return {"microphones": found}
    source: Source = Recording(config.wav) if config.wav else Microphone(config.microphone)
    tell = Lines(_write) if config.output == "lines" else (lambda event: _write(json.dumps(event, ensure_ascii=False)))

    async def main() -> Call:
        call = Call(config.url, os.environ.get("RAPPORT_API_KEY", ""), config.voice, tell)
        print(f"Talking with {config.url} as {source.name}; Ctrl-C ends it", file=sys.stderr, flush=True)
        try:
            await call.talk(source, config.seconds, config.patience_s)
        except asyncio.CancelledError:
            print("stopped", file=sys.stderr)  # the usual way to end: what was said is still summed up
        return call

    call = asyncio.run(main())
    if call.errors and not call.exchanges:
        raise RapportError(f"nobody answered: {call.errors[-1]}")
    written = {}
    if config.reply is not None:
        samples = from_pcm16(bytes(call.sound)) if call.sound else np.zeros(1, np.float32)
        storage.write_bytes(storage.resolve(config.reply)[1], encode_wav(samples, RATE_HZ))
        written = {"reply": config.reply}
    return {**call.result(), **written}


def _write(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    job(TalkCompanionConfig, run)
