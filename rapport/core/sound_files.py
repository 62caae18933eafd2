"""Speech as a file in the formats that clients ask for, at 24 kHz, one channel: what players and the OpenAI clients expect."""

import io
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from rapport.core.audio import resample, to_pcm16

FileFormat = Literal["wav", "flac", "mp3", "opus", "aac", "pcm"]
FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
RATE_HZ = 24_000
"""Rate of all files made here; `pcm` has no header to tell it."""
MEDIA_TYPES: Mapping[str, str] = {
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
    "aac": "audio/aac",
    "pcm": f"audio/L16; rate={RATE_HZ}; channels=1",
}

# Container and coding of libsndfile, and of FFmpeg for what libsndfile does not write.
_SNDFILE = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS")}
_BLOCK = RATE_HZ  # libsndfile's Ogg writers keep a block on the stack


def encode_file(samples: np.ndarray, rate_hz: int, kind: FileFormat) -> bytes:
    """A file of speech, float32 [S] in [-1, 1]; `pcm` is 16-bit little-endian samples alone."""
    pcm = to_pcm16(resample(np.asarray(samples, np.float32), rate_hz, RATE_HZ))
    if kind == "pcm":
        return pcm.astype("<i2").tobytes()
    return _encode_aac(pcm) if kind == "aac" else _encode_sndfile(pcm, *_SNDFILE[kind])


def _encode_sndfile(pcm: np.ndarray, container: str, coding: str) -> bytes:
    import soundfile

    sink = io.BytesIO()
    with soundfile.SoundFile(sink, "w", samplerate=RATE_HZ, channels=1, format=container, subtype=coding) as file:
        for start in range(0, len(pcm), _BLOCK):
            file.write(pcm[start : start + _BLOCK])
    return sink.getvalue()


def _encode_aac(pcm: np.ndarray) -> bytes:
    import av

    sink = io.BytesIO()
    with av.open(sink, "w", format="adts") as file:
        stream = file.add_stream("aac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return sink.getvalue()
