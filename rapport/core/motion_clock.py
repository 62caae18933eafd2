"""The clock of the motion: frame k tells the pose at (k + 1) / frame_rate_hz seconds, and hears no sample after that.

Whole numbers only, so that a stream of any length stays on the beat. Axes: S samples at 16 kHz, T frames.
"""

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ


def frame_count(samples: int, frame_rate_hz: int) -> int:
    """T, the frames whose time lies within S samples."""
    return samples * frame_rate_hz // SAMPLE_RATE_HZ


def frame_ends(first: int, last: int, frame_rate_hz: int) -> npt.NDArray[np.int64]:
    """[last - first] how many samples lie before the time of each of the frames `first`..`last` - 1."""
    return np.arange(first + 1, last + 1, dtype=np.int64) * SAMPLE_RATE_HZ // frame_rate_hz


def frame_times_s(frames: int, frame_rate_hz: int) -> npt.NDArray[np.float64]:
    """[T] the times of the first frames, seconds."""
    return (np.arange(frames) + 1) / frame_rate_hz


def frame_time_s(frame: int, frame_rate_hz: int) -> float:
    """The time of the pose of a frame, seconds."""
    return (frame + 1) / frame_rate_hz
