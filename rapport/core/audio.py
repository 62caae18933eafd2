"""Audio in and out: decode whatever a file holds, refuse what is no usable speech by name, and make 16 kHz mono of the rest.

Arrays are float32 in [-1, 1]: [C, S] as decoded (C channels, S samples), [S] as speech. Files are judged by content, never by suffix:
libsndfile reads WAV, FLAC, Ogg, MP3 and AIFF; FFmpeg (PyAV) reads M4A, WebM, AAC and other containers.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from rapport.core.config import Config
from rapport.core.containers import ffmpeg_format, is_lfs_pointer, missing_bytes
from rapport.core.errors import RapportError
from rapport.core.storage import read_bytes

if TYPE_CHECKING:
    import av
    import soundfile

SAMPLE_RATE_HZ = 16_000
"""Rate of all prepared speech."""

Reason = Literal[
    "lfs_pointer",
    "not_found",
    "empty",
    "not_audio",
    "truncated",
    "no_samples",
    "not_finite",
    "silent",
    "too_long",
    "too_short",
    "sample_rate",
    "channels",
    "unsupported",
]


class AudioError(RapportError):
    """Audio that cannot be used: `reason` is a code for tables and tests, the text is for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)  # both, so that the error survives a trip between processes
        self.reason: Reason = reason

    def __str__(self) -> str:
        return str(self.args[1])


class AudioLimits(Config):
    """What counts as a usable clip of speech."""

    min_duration_s: float = Field(default=0.05, ge=0)
    """Shorter clips are refused; 25 ms is the least that the encoders accept."""
    max_duration_s: float = Field(default=60.0, gt=0)
    """Longer clips are refused."""
    silence_db: float = Field(default=-80.0, lt=0)
    """Clips whose RMS level (dB of full scale, after the mean is taken off) lies below this are refused as silent."""
    min_sample_rate_hz: int = Field(default=4_000, ge=1)
    """Lower rates are refused."""
    max_sample_rate_hz: int = Field(default=384_000, ge=1)
    """Higher rates are refused."""
    max_channels: int = Field(default=16, ge=1)
    """Files of more channels are refused; fewer are averaged to one."""


@dataclass(frozen=True, slots=True)
class Speech:
    """One usable clip."""

    samples: np.ndarray
    """float32 [S] at 16 kHz, one channel, within [-1, 1]."""
    source_rate_hz: int
    channels: int
    duration_s: float
    """Length of `samples`."""


def load_speech(
    source: bytes | str | Path, limits: AudioLimits | None = None, *, start_s: float = 0.0, end_s: float | None = None
) -> Speech:
    """The speech of a file (bytes, path or URI), or of the stretch `start_s`..`end_s` in it, as 16 kHz mono.

    Samples beyond full scale are scaled back as a whole rather than clipped. Raises AudioError for anything outside `limits`.
    """
    limits = limits or AudioLimits()
    channels, rate_hz = decode(
        source,
        start_s=start_s,
        end_s=end_s,
        max_duration_s=limits.max_duration_s,
        sample_rates_hz=(limits.min_sample_rate_hz, limits.max_sample_rate_hz),
        max_channels=limits.max_channels,
    )
    mono = to_mono(channels)
    seconds = len(mono) / rate_hz
    if seconds < limits.min_duration_s:
        raise AudioError("too_short", f"lasts {seconds:.4g} s, limits.min_duration_s is {limits.min_duration_s:g}")
    level_db = rms_db(mono - mono.mean())
    if level_db < limits.silence_db:
        raise AudioError("silent", f"level is {level_db:.0f} dB of full scale, limits.silence_db is {limits.silence_db:g}")
    samples = resample(mono, rate_hz, SAMPLE_RATE_HZ)
    peak = float(max(samples.max(), -samples.min()))
    if peak > 1:
        samples = samples / np.float32(peak)
    return Speech(samples, rate_hz, len(channels), len(samples) / SAMPLE_RATE_HZ)


def decode(
    source: bytes | str | Path,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    max_duration_s: float | None = None,
    sample_rates_hz: tuple[int, int] = (4_000, 384_000),
    max_channels: int = 16,
) -> tuple[np.ndarray, int]:
    """Samples (float32 [C, S], finite, S >= 1) and sample rate (Hz) of audio bytes, a path or a URI.

    `start_s` and `end_s` pick a stretch. No more than `max_duration_s` is ever held, however much the data unpacks to.
    Raises AudioError that names what is wrong.
    """
    data = source if isinstance(source, bytes) else _read(source)
    _check_bytes(data)
    wanted = _Wanted(start_s, end_s, max_duration_s, sample_rates_hz, max_channels)
    container = ffmpeg_format(data)
    try:
        samples, rate_hz = _decode_ffmpeg(data, container, wanted) if container else _decode_sndfile(data, wanted)
    except AudioError:
        raise
    except Exception as error:  # decoders of hostile bytes fail in every way there is; one file must not end a job or a server
        raise AudioError("unsupported", f"the decoder gave up: {type(error).__name__}: {error}") from error
    if samples.shape[1] == 0:
        where = f" between {start_s:g} s and {'the end' if end_s is None else f'{end_s:g} s'}" if start_s or end_s is not None else ""
        raise AudioError("no_samples", f"the header is sound, but there is not a single sample{where}")
    # One bad sample spoils the sum, which is several times as quick to take as a look at each.
    if not np.isfinite(samples.sum()) and (bad := int((~np.isfinite(samples)).sum())):
        raise AudioError("not_finite", f"{bad} of {samples.size} samples are NaN or infinite")
    return samples, rate_hz


def to_mono(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels: [C, S] -> [S]; [S] stays as it is."""
    if samples.ndim == 1:
        return samples
    return samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=np.float32)


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """The same sound at another rate: float32 [S] -> [S'] or [C, S] -> [C, S'] (soxr, high quality)."""
    if from_hz == to_hz:
        return samples
    import soxr

    resampled = soxr.resample(samples.T, from_hz, to_hz, quality="HQ").T
    # Rounding can leave nothing of a clip of a few samples.
    return resampled if resampled.shape[-1] else samples[..., :1]


def rms_db(samples: np.ndarray) -> float:
    """Level of the samples in dB of full scale; -inf for digital silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    return 10 * np.log10(power) if power > 0 else -np.inf


def to_pcm16(samples: np.ndarray) -> np.ndarray:
    """int16 of float samples in [-1, 1]; what lies beyond is clipped. Undoes `from_pcm16` exactly."""
    return np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)


def from_pcm16(pcm: np.ndarray | bytes | memoryview) -> np.ndarray:
    """float32 in [-1, 1) of int16 samples, or of their little-endian bytes."""
    values = np.frombuffer(pcm, dtype="<i2") if isinstance(pcm, bytes | memoryview) else pcm
    return values.astype(np.float32) / np.float32(32768)


def encode_wav(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """A 16-bit WAV file of [S] or [C, S]."""
    return _encode(samples, rate_hz, "WAV")


def encode_flac(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """A 16-bit FLAC file of [S] or [C, S]."""
    return _encode(samples, rate_hz, "FLAC")


def voice_activity(
    samples: np.ndarray, *, aggressiveness: int = 2, frame_s: float = 0.03, join_gap_s: float = 0.3, min_speech_s: float = 0.09
) -> list[tuple[float, float]]:
    """The stretches of 16 kHz audio [S] that hold voice, as (start_s, end_s) in order (WebRTC's detector).

    Pauses shorter than `join_gap_s` do not end a stretch; stretches shorter than `min_speech_s` are left out. `aggressiveness` 0..3
    rejects ever more non-speech; `frame_s` is 0.01, 0.02 or 0.03.
    """
    import webrtcvad

    frame = round(frame_s * SAMPLE_RATE_HZ)
    detector = webrtcvad.Vad(aggressiveness)
    pcm = to_pcm16(samples)
    voiced = [detector.is_speech(pcm[i : i + frame].tobytes(), SAMPLE_RATE_HZ) for i in range(0, len(pcm) - frame + 1, frame)]
    stretches: list[tuple[float, float]] = []
    for index in np.flatnonzero(voiced):
        start_s, end_s = round(float(index * frame_s), 3), round(float((index + 1) * frame_s), 3)
        if stretches and start_s - stretches[-1][1] < join_gap_s:
            stretches[-1] = (stretches[-1][0], end_s)
        else:
            stretches.append((start_s, end_s))
    return [s for s in stretches if s[1] - s[0] >= min_speech_s - 1e-9]


def trim_silence(samples: np.ndarray, *, threshold_db: float = -40.0, margin_s: float = 0.1, frame_s: float = 0.02) -> np.ndarray:
    """A view of 16 kHz audio [S] without its quiet ends.

    Quiet is a frame more than `-threshold_db` below the loudest one; `margin_s` is kept on both sides. Silence comes back whole.
    """
    frame = round(frame_s * SAMPLE_RATE_HZ)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    if not len(power) or power.max() == 0:
        return samples
    loud = np.flatnonzero(power >= power.max() * 10 ** (threshold_db / 10))
    margin = round(margin_s * SAMPLE_RATE_HZ)
    return samples[max(0, loud[0] * frame - margin) : (loud[-1] + 1) * frame + margin]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which stretch to decode, and what its header must say."""

    start_s: float
    end_s: float | None
    max_duration_s: float | None
    sample_rates_hz: tuple[int, int]
    max_channels: int

    def check_header(self, rate_hz: int, channels: int) -> None:
        low, high = self.sample_rates_hz
        if not low <= rate_hz <= high:
            setting = "limits.min_sample_rate_hz" if rate_hz < low else "limits.max_sample_rate_hz"
            raise AudioError("sample_rate", f"sample rate is {rate_hz:,} Hz, wanted {low:,} to {high:,} ({setting})")
        if channels > self.max_channels:
            raise AudioError("channels", f"has {channels} channels, limits.max_channels is {self.max_channels}")

    def check_length(self, seconds: float) -> None:
        if self.max_duration_s is not None and seconds > self.max_duration_s + 1e-6:
            raise AudioError("too_long", f"lasts {seconds:.2f} s or more, limits.max_duration_s is {self.max_duration_s:g}")


def _read(path: str | Path) -> bytes:
    try:
        return read_bytes(path)
    except OSError as error:
        raise AudioError("not_found", f"{path} cannot be read: {error.strerror or error}") from error


def _check_bytes(data: bytes) -> None:
    if not data:
        raise AudioError("empty", "the file holds no bytes")
    if is_lfs_pointer(data):
        raise AudioError("lfs_pointer", "a git-LFS pointer lies in place of the audio: fetch the files with `git lfs pull`")
    lacking = missing_bytes(data)
    if lacking:
        raise AudioError("truncated", f"the file is cut: its header declares {lacking:,} bytes more than the {len(data):,} there are")


def _encode(samples: np.ndarray, rate_hz: int, container: str) -> bytes:
    import soundfile

    sink = io.BytesIO()
    soundfile.write(sink, to_pcm16(samples).T, rate_hz, format=container, subtype="PCM_16")
    return sink.getvalue()


def _decode_sndfile(data: bytes, wanted: _Wanted) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        file = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        raise AudioError("not_audio", f"not audio of a known kind (begins with {data[:12]!r}): {error.error_string}") from error
    with file:
        wanted.check_header(file.samplerate, file.channels)
        return _read_stretch(file, wanted), file.samplerate


def _read_stretch(file: "soundfile.SoundFile", wanted: _Wanted) -> np.ndarray:
    import soundfile

    first = min(round(wanted.start_s * file.samplerate), file.frames)
    last = file.frames if wanted.end_s is None else min(round(wanted.end_s * file.samplerate), file.frames)
    wanted.check_length((last - first) / file.samplerate)
    try:
        if first:
            file.seek(first)
        samples = file.read(max(0, last - first), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise AudioError("truncated", f"decoding fails part of the way: {error.error_string}") from error
    if len(samples) < last - first:
        raise AudioError("truncated", f"only {len(samples):,} of {last - first:,} samples can be decoded")
    return samples.T


def _decode_ffmpeg(data: bytes, container: str, wanted: _Wanted) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(io.BytesIO(data), mode="r", format=container) as file:
            if not file.streams.audio:
                raise AudioError("not_audio", f"the {container} file holds no sound")
            stream = file.streams.audio[0]
            rate_hz = int(stream.codec_context.sample_rate or 0)
            if not rate_hz:
                raise AudioError("not_audio", f"the {container} file does not tell its sample rate")
            wanted.check_header(rate_hz, int(stream.codec_context.channels))
            parts = list(_ffmpeg_frames(file, rate_hz, wanted))
    except av.FFmpegError as error:
        raise AudioError("not_audio", f"the {container} file cannot be decoded: {error.strerror}") from error
    samples = np.concatenate(parts, axis=1) if parts else np.zeros((1, 0), np.float32)
    last = None if wanted.end_s is None else round(wanted.end_s * rate_hz)
    samples = samples[:, round(wanted.start_s * rate_hz) : last]
    wanted.check_length(samples.shape[1] / rate_hz)
    return samples, rate_hz


def _ffmpeg_frames(file: "av.container.InputContainer", rate_hz: int, wanted: _Wanted) -> Iterator[np.ndarray]:
    """Decoded frames, float32 [C, S], until the stretch ends or proves too long."""
    import av

    to_planes = av.AudioResampler(format="fltp")
    done = 0
    for frame in file.decode(audio=0):
        for part in to_planes.resample(frame):
            done += part.samples
            yield part.to_ndarray()
        if wanted.end_s is not None and done >= wanted.end_s * rate_hz:
            return
        wanted.check_length(done / rate_hz - wanted.start_s)
