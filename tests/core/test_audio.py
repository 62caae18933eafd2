"""What decodes, what is refused and under which name."""

import contextlib
import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.core.audio import (
    SAMPLE_RATE_HZ,
    AudioError,
    AudioLimits,
    decode,
    encode_wav,
    from_pcm16,
    load_speech,
    resample,
    rms_db,
    to_mono,
    to_pcm16,
    trim_silence,
    voice_activity,
)

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real audio lies beside the repository on some machines only")


def tone(seconds: float = 0.5, rate_hz: int = SAMPLE_RATE_HZ, hz: float = 220.0) -> np.ndarray:
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def in_format(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ, **options: str) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, samples.T, rate_hz, **options)
    return sink.getvalue()


def with_rate(wav: bytes, rate_hz: int) -> bytes:
    return wav[:24] + struct.pack("<II", rate_hz, 2 * rate_hz) + wav[32:]


def reason_of(data: bytes | Path, limits: AudioLimits | None = None) -> str:
    with pytest.raises(AudioError) as caught:
        load_speech(data, limits)
    assert len(str(caught.value)) > 15
    return caught.value.reason


WAV = encode_wav(tone())
NAN = tone()
NAN[100] = np.nan
INFINITE = tone()
INFINITE[-1] = np.inf
FLAC = in_format(tone(2.0), format="FLAC")
OGG = in_format(tone(2.0), format="OGG")

DAMAGED: dict[str, tuple[bytes | Path, str]] = {
    "a git-LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 72862\n", "lfs_pointer"),
    "no bytes": (b"", "empty"),
    "text": (b"actor,emotion\n1001,ANG\n" * 20, "not_audio"),
    "a web page": (b"<!DOCTYPE html><title>404</title>" * 10, "not_audio"),
    "a playlist": (b"#EXTM3U\nhttp://127.0.0.1:1/clip.ts\n", "not_audio"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(200), "not_audio"),
    "half a RIFF file": (WAV[: len(WAV) // 2], "truncated"),
    "a RIFF file that lacks one byte": (WAV[:-1], "truncated"),
    "a RIFF file cut in its header": (WAV[:30], "truncated"),
    "half a FLAC file": (FLAC[: len(FLAC) // 2], "truncated"),
    "half an Ogg file": (OGG[: len(OGG) // 2], "truncated"),
    "a header and nothing else": (encode_wav(np.zeros(0, np.float32)), "no_samples"),
    "NaN": (in_format(NAN, format="WAV", subtype="FLOAT"), "not_finite"),
    "infinity": (in_format(INFINITE, format="WAV", subtype="DOUBLE"), "not_finite"),
    "digital silence": (encode_wav(np.zeros(16_000, np.float32)), "silent"),
    "a constant": (encode_wav(np.full(16_000, 0.2, np.float32)), "silent"),
    "61 s": (encode_wav(tone(61)), "too_long"),
    "10 ms": (encode_wav(tone(0.01)), "too_short"),
    "100 Hz in the header": (with_rate(WAV, 100), "sample_rate"),
    "10 MHz in the header": (with_rate(WAV, 10_000_000), "sample_rate"),
    "0 Hz in the header": (with_rate(WAV, 0), "not_audio"),
    "24 channels": (encode_wav(np.tile(tone(0.1), (24, 1))), "channels"),
    "a folder": (Path(__file__).parent, "not_found"),
    "no file": (Path("absent.wav"), "not_found"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_audio_is_refused_by_name(kind):
    data, reason = DAMAGED[kind]
    assert reason_of(data) == reason


@pytest.mark.parametrize(
    ("data", "setting", "seen"),
    [
        (encode_wav(tone(61)), "limits.max_duration_s is 60", "61"),
        (encode_wav(tone(0.01)), "limits.min_duration_s is 0.05", "0.01"),
        (with_rate(WAV, 100), "limits.min_sample_rate_hz", "100 Hz"),
        (with_rate(WAV, 10_000_000), "limits.max_sample_rate_hz", "10,000,000 Hz"),
        (encode_wav(np.tile(tone(0.1), (24, 1))), "limits.max_channels is 16", "24"),
        (encode_wav(tone() * 1e-4), "limits.silence_db is -80", "-9"),
    ],
)
def test_refusals_name_the_value_seen_and_the_setting(data, setting, seen):
    with pytest.raises(AudioError) as caught:
        load_speech(data)
    assert setting in str(caught.value)
    assert seen in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"format": "WAV", "subtype": "PCM_U8"},
        {"format": "WAV", "subtype": "PCM_24"},
        {"format": "WAV", "subtype": "DOUBLE"},
        {"format": "WAV", "subtype": "ULAW"},
        {"format": "WAV", "subtype": "MS_ADPCM"},
        {"format": "WAVEX", "subtype": "PCM_16"},
        {"format": "RF64", "subtype": "PCM_16"},
        {"format": "W64", "subtype": "PCM_16"},
        {"format": "AIFF", "subtype": "PCM_16"},
        {"format": "CAF", "subtype": "PCM_16"},
        {"format": "FLAC"},
        {"format": "OGG", "subtype": "VORBIS"},
        {"format": "OGG", "subtype": "OPUS"},
        {"format": "MP3"},
    ],
    ids=lambda o: "-".join(o.values()),
)
def test_content_decides_whatever_the_file_is_called(options, tmp_path):
    path = tmp_path / "clip.wav"
    path.write_bytes(in_format(tone(1.0), **options))
    speech = load_speech(path)
    assert speech.duration_s == pytest.approx(1.0, abs=0.03)
    assert rms_db(speech.samples) == pytest.approx(rms_db(tone(1.0)), abs=0.5)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("matroska", "aac"), ("webm", "libopus"), ("adts", "aac")])
def test_containers_of_phones_and_browsers_decode(container, codec):
    import av

    sink = io.BytesIO()
    with av.open(sink, "w", format=container) as file:
        stream = file.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(1.0, 48_000)[None], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    speech = load_speech(sink.getvalue())
    assert speech.duration_s == pytest.approx(1.0, abs=0.1)
    assert reason_of(sink.getvalue(), AudioLimits(max_duration_s=0.5)) == "too_long"
    assert reason_of(sink.getvalue()[:60]) in {"truncated", "not_audio"}


@needs_data
@pytest.mark.parametrize(
    ("path", "rate_hz", "channels", "duration_s"),
    [
        ("audio_formats/mono_float64.wav", 44_100, 1, 0.0005),
        ("audio_formats/mono_int24.wav", 44_100, 1, 0.0005),
        ("audio_formats/ms_adpcm.wav", 11_024, 1, 81.232),
        ("audio_formats/stereo_24bit.WAV", 16_000, 2, 1.115),
        ("audio_formats/perfect-alley1.ogg", 44_100, 2, 9.057),
        ("audio_formats/testing.m4a", 44_100, 1, 3.204),
        ("rir/lhotse/real_8ch.wav", 16_000, 8, 0.1),
        ("ravdess_original/Actor_01/03-01-01-01-01-01-01.wav", 48_000, 1, 3.303),
        ("ravdess_original/Actor_01/03-01-02-01-01-02-01.wav", 48_000, 2, 3.604),
    ],
)
def test_real_files_of_every_kind_decode(path, rate_hz, channels, duration_s):
    samples, rate = decode(DATA / path)
    assert (rate, len(samples), samples.dtype) == (rate_hz, channels, np.float32)
    speech = load_speech(DATA / path, AudioLimits(min_duration_s=0, max_duration_s=100))
    assert speech.duration_s == pytest.approx(duration_s, abs=1e-3)
    assert np.abs(speech.samples).max() <= 1


@needs_data
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("audio_formats/digital_silence.wav", "silent"),
        ("audio_formats/almost_silent.wav", "silent"),
        ("audio_formats/ms_adpcm.wav", "too_long"),
        ("cremad/AudioWAV/1001_DFA_ANG_XX.wav", "lfs_pointer"),
        ("rir/audiomentations/misc_file.txt", "not_audio"),
    ],
)
def test_real_unusable_files_are_refused(path, reason):
    assert reason_of(DATA / path) == reason


@settings(max_examples=150)
@given(kind=st.sampled_from(["wav", "flac", "ogg"]), place=st.floats(0, 1), patch=st.binary(min_size=1, max_size=8), keep=st.floats(0, 1))
def test_whatever_the_damage_the_answer_is_finite_speech_or_a_refusal(kind, place, patch, keep):
    whole = {"wav": WAV, "flac": FLAC, "ogg": OGG}[kind]
    at = int(place * len(whole))
    data = (whole[:at] + patch + whole[at + len(patch) :])[: int(keep * 2 * len(whole))]
    with contextlib.suppress(AudioError):
        assert np.isfinite(load_speech(data).samples).all()


def test_a_stretch_of_a_long_file_is_judged_by_its_own_length():
    data = encode_wav(np.concatenate([tone(40), tone(40, hz=440)]))
    speech = load_speech(data, start_s=39.9, end_s=41.0)
    assert speech.duration_s == pytest.approx(1.1)
    np.testing.assert_allclose(speech.samples[-100:], tone(1.0, hz=440)[-100:], atol=1e-4)
    with pytest.raises(AudioError, match=r"between 90 s and 91 s"):
        load_speech(data, start_s=90, end_s=91)


def test_an_unfinished_header_of_a_streaming_writer_is_no_damage():
    wav = WAV[:4] + b"\xff\xff\xff\xff" + WAV[8:40] + b"\xff\xff\xff\xff" + WAV[44:]
    assert load_speech(wav).duration_s == pytest.approx(0.5)


def test_further_chunks_around_the_samples_are_passed_over():
    extra = b"LIST" + struct.pack("<I", 5) + b"abcde\x00"
    wav = WAV[:12] + extra + WAV[12:] + extra
    np.testing.assert_array_equal(load_speech(wav).samples, load_speech(WAV).samples)


def test_loud_float_audio_is_scaled_rather_than_clipped():
    speech = load_speech(in_format(tone() * 20, format="WAV", subtype="FLOAT"))
    np.testing.assert_allclose(speech.samples, tone() / tone().max(), atol=1e-4)


def test_resampling_keeps_length_pitch_and_level():
    speech = load_speech(encode_wav(tone(1.0, 48_000), 48_000))
    assert (len(speech.samples), speech.source_rate_hz) == (16_000, 48_000)
    np.testing.assert_allclose(speech.samples[500:-500], tone(1.0)[500:-500], atol=1e-3)
    assert resample(np.zeros((2, 48), np.float32), 48_000, 16_000).shape == (2, 16)


def test_channels_are_averaged():
    np.testing.assert_allclose(to_mono(np.array([[1.0, 0.0], [0.0, 0.5]], np.float32)), [0.5, 0.25])
    assert load_speech(encode_wav(np.stack([tone(), tone()]))).channels == 2


def test_pcm_round_trip_is_exact():
    pcm = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(to_pcm16(from_pcm16(pcm)), pcm)
    np.testing.assert_array_equal(from_pcm16(pcm.tobytes()), from_pcm16(pcm))
    np.testing.assert_array_equal(to_pcm16(np.array([2.0, -2.0], np.float32)), [32767, -32768])


def test_errors_survive_a_trip_between_processes():
    error = pickle.loads(pickle.dumps(AudioError("silent", "level is -inf dB")))  # noqa: S301 - our own bytes, as Ray sends them
    assert (error.reason, str(error)) == ("silent", "level is -inf dB")


def test_voice_is_found_between_silences_and_trimmed_to():
    rng = np.random.default_rng(0)
    buzz = np.sign(tone(0.6, hz=140)) * np.repeat(rng.uniform(0.1, 0.5, 60), 160).astype(np.float32)
    quiet = (rng.normal(0, 1e-4, 16_000)).astype(np.float32)
    clip = np.concatenate([quiet, buzz, quiet])
    (stretch,) = voice_activity(clip)
    assert stretch == pytest.approx((1.0, 1.6), abs=0.2)
    assert len(trim_silence(clip)) / SAMPLE_RATE_HZ == pytest.approx(0.8, abs=0.05)
    assert voice_activity(quiet) == []
    assert len(trim_silence(np.zeros(1000, np.float32))) == 1000
