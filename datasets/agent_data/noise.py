"""White noise that follows the level of speech, frame by frame, as the published audio of agents has it."""

import numpy as np
import numpy.typing as npt

_FRAMES_PER_S = 50


def add_noise(
    samples: npt.NDArray[np.number], rate_hz: int, snr_db: float, rng: np.random.Generator, *, published_tail: bool = False
) -> npt.NDArray[np.float64]:
    """Speech [S] on the scale of 16-bit samples with noise `snr_db` below it in each frame of 20 ms; silent frames stay silent.

    A last frame shorter than half a frame belongs to the one before. With `published_tail` a longer one, or a whole one at the very end,
    keeps noise of variance 1 whatever the level of speech, as published.
    """
    speech = np.asarray(samples, np.float64)
    if not len(speech):
        return speech
    frame = rate_hz // _FRAMES_PER_S
    starts = np.arange(0, len(speech), frame)
    joined = len(starts) > 1 and len(speech) - starts[-1] < frame / 2
    if joined:
        starts = starts[:-1]
    noise = rng.standard_normal(len(speech))
    wanted = np.add.reduceat(speech**2, starts) / 10 ** (snr_db / 10)
    gains = np.sqrt(wanted / np.add.reduceat(noise**2, starts))
    if published_tail and not joined:
        gains[-1] = 1.0
    return speech + noise * np.repeat(gains, np.diff(starts, append=len(speech)))
