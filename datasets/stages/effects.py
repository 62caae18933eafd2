"""The effects behind augmentation: plain functions of 16 kHz mono speech [S], without any random state of their own."""

import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
from scipy import fft, signal

from rapport.core.audio import SAMPLE_RATE_HZ, resample, voice_activity

Samples = npt.NDArray[np.float32]

_SILENT_POWER = 1e-10
_OCTAVES_HZ = np.array([62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])
OCTAVES = len(_OCTAVES_HZ)


class FileCodec(NamedTuple):
    """A codec of libsndfile."""

    container: str
    subtype: str
    rate_hz: int


CODECS = {
    "mu_law": FileCodec("WAV", "ULAW", 8000),
    "gsm": FileCodec("WAV", "GSM610", 8000),
    "mp3": FileCodec("MP3", "MPEG_LAYER_III", SAMPLE_RATE_HZ),
    "vorbis": FileCodec("OGG", "VORBIS", SAMPLE_RATE_HZ),
}


def power(samples: Samples) -> float:
    """The mean square."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0


def active_power(samples: Samples) -> float:
    """The mean square over the voiced stretches, or over the whole clip when no voice is found."""
    voiced = [samples[int(a * SAMPLE_RATE_HZ) : int(b * SAMPLE_RATE_HZ)] for a, b in voice_activity(samples)]
    return power(np.concatenate(voiced) if voiced else samples)


def mix_at_snr(speech: Samples, noise: Samples, snr_db: float, *, over_active_speech: bool = False) -> Samples:
    """Speech [S] with noise [S] under it, `snr_db` apart by mean squares; both are scaled down together rather than clipped.

    A silent clip or a silent noise has no such ratio: the speech comes back unchanged.
    """
    speech_power, noise_power = active_power(speech) if over_active_speech else power(speech), power(noise)
    if min(speech_power, noise_power) < _SILENT_POWER:
        return speech
    mixed = speech + noise * np.sqrt(speech_power / 10 ** (snr_db / 10) / noise_power)
    return (mixed / max(float(np.abs(mixed).max()), 1.0)).astype(np.float32)


def reverberate(samples: Samples, impulse_response: Samples) -> Samples:
    """The clip in a room, as long and as loud as before; the direct sound stays where it was."""
    response = impulse_response[int(np.abs(impulse_response).argmax()) :]
    wet = signal.oaconvolve(samples, response)[: len(samples)].astype(np.float32)
    before, after = power(samples), power(wet)
    return wet * np.float32(np.sqrt(before / after)) if after > _SILENT_POWER else samples


def room(tail: Samples, rt60_s: float, direct_db: float) -> Samples:
    """An impulse response from white noise [S] as its tail: it decays by 60 dB in `rt60_s`, `direct_db` below the direct sound."""
    time_s = np.arange(len(tail)) / SAMPLE_RATE_HZ
    response = tail * 10 ** (-3 * time_s / rt60_s)
    # The first reflection of a small room arrives about 2 ms after the direct sound.
    response[: SAMPLE_RATE_HZ // 500] = 0
    response *= 10 ** (-direct_db / 20) / max(float(np.sqrt(np.sum(response**2))), 1e-9)
    response[0] = 1.0
    return response.astype(np.float32)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Resampled speech [S / factor]: faster and higher for a factor above 1."""
    return resample(samples, round(SAMPLE_RATE_HZ * factor), SAMPLE_RATE_HZ)


def change_tempo(samples: Samples, rate: float) -> Samples:
    """Stretched speech [S / rate] of the same pitch."""
    return _signalsmith(samples, rate=rate)


def change_tempo_by_phase_vocoder(samples: Samples, rate: float, n_fft: int) -> Samples:
    """Stretched speech [S / rate] of the same pitch, by short-time spectra whose phases are advanced, hop a quarter of `n_fft`."""
    # Only this effect needs torch, which the training process has loaded anyhow.
    import torch
    from torchaudio.functional import phase_vocoder

    hop, window = n_fft // 4, torch.hann_window(n_fft)
    wave = torch.from_numpy(np.array(samples, dtype=np.float32))
    spectrum = torch.stft(wave, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, np.pi * hop, spectrum.shape[-2])[:, None]
    stretched = phase_vocoder(spectrum, rate, advance)
    return torch.istft(stretched, n_fft, hop, window=window, length=max(round(len(samples) / rate), 1)).numpy()


def change_pitch(samples: Samples, semitones: float) -> Samples:
    """Speech [S] shifted by semitones, of the same length."""
    return _signalsmith(samples, semitones=semitones)


def equalise(samples: Samples, gains_db: npt.NDArray[np.float64]) -> Samples:
    """Speech [S] with a gain at each of eight octaves (62.5 Hz to 8 kHz) and a smooth curve between, without shifting phases."""
    # Padding keeps the end of the clip from ringing into its beginning.
    size = fft.next_fast_len(len(samples) + 1024, real=True)
    frequencies_hz = fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    curve_db = np.interp(np.log2(np.maximum(frequencies_hz, 1.0)), np.log2(_OCTAVES_HZ), gains_db)
    curve = (10 ** (curve_db / 20)).astype(np.float32)
    return fft.irfft(fft.rfft(samples, size) * curve, size)[: len(samples)]


def limit_band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Speech [S] without what lies outside the band (fourth-order Butterworth)."""
    filters = signal.butter(4, (low_hz, high_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return signal.sosfilt(filters, samples).astype(np.float32)


def encode_and_decode(samples: Samples, codec: FileCodec, compression: float) -> Samples:
    """Speech [S] after a round trip through a codec, of the same length and without delay."""
    peak = max(float(np.abs(samples).max()), 1.0)
    narrow = resample(samples / np.float32(peak), SAMPLE_RATE_HZ, codec.rate_hz)
    file = io.BytesIO()
    # Only lossy files take a level; a WAV with one is refused.
    level = None if codec.container == "WAV" else compression
    soundfile.write(file, narrow, codec.rate_hz, format=codec.container, subtype=codec.subtype, compression_level=level)
    file.seek(0)
    decoded = resample(soundfile.read(file, dtype="float32")[0], codec.rate_hz, SAMPLE_RATE_HZ)
    return np.pad(decoded, (0, max(0, len(samples) - len(decoded))))[: len(samples)] * np.float32(peak)


def _signalsmith(samples: Samples, rate: float = 1.0, semitones: float = 0.0) -> Samples:
    from python_stretch import Signalsmith

    # Its own seed would come from the clock.
    stretch = Signalsmith.Stretch(0)
    stretch.preset(1, SAMPLE_RATE_HZ)
    stretch.setTimeFactor(rate)
    stretch.setTransposeSemitones(semitones)
    return np.asarray(stretch.process(np.ascontiguousarray(samples, np.float32)[None]), np.float32)[0]
