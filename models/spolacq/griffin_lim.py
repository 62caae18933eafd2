"""Sound of magnitudes alone: the fast Griffin-Lim algorithm (Perraudin, Balazs & Sondergaard 2013).

In numpy, an utterance at a time: FFTs of one row after another are as quick as those of a batch, and nothing that stands beside an
utterance can change a bit of it. Axes: T frames, F bins, S samples.
"""

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft

from rapport.models.spolacq.mel_units import BINS, HANN, HOP, WINDOW

Floats = npt.NDArray[np.float32]

_MOMENTUM = np.float32(0.9)
_OVERLAPS = WINDOW // HOP
_PEAK = np.float32(0.9)


def griffin_lim(magnitudes: Floats, iterations: int = 12) -> Floats:
    """Sound, float32 [T x HOP] at 16 kHz with a peak of 0.9, of magnitudes [T, F]; the same magnitudes give the same samples."""
    frames = len(magnitudes)
    covered = np.maximum(_add_up(np.broadcast_to(HANN * HANN, (frames, WINDOW))), np.float32(1e-3))
    # Phases that are drawn once and for all: zeros would make every frame a click.
    angles = 2 * np.pi * np.random.default_rng(0).random((frames, BINS), np.float32)
    phases, before = np.exp(1j * angles).astype(np.complex64), np.complex64(0)
    for _ in range(iterations):
        sound = _add_up(irfft(magnitudes * phases, n=WINDOW, axis=1) * HANN) / covered
        now = rfft(np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP] * HANN, axis=1)
        moved = now + _MOMENTUM * (now - before)
        phases, before = moved / (np.abs(moved) + np.float32(1e-9)), now
    sound = (_add_up(irfft(magnitudes * phases, n=WINDOW, axis=1) * HANN) / covered)[WINDOW // 2 :][: frames * HOP]
    return (sound * (_PEAK / max(float(np.abs(sound).max(initial=0)), 1e-9))).astype(np.float32)


def _add_up(frames: Floats) -> Floats:
    """[S] the sum of frames [T, WINDOW], each HOP after the last."""
    count = len(frames)
    hops = np.zeros((count + _OVERLAPS - 1, HOP), np.float32)
    for number in range(_OVERLAPS):
        hops[number : number + count] += frames[:, number * HOP : (number + 1) * HOP]
    return hops.reshape(-1)
