"""The page of head motion: a drawn head and traces of each motion, in step with the speech that it answers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rapport.core.audio import SAMPLE_RATE_HZ, encode_wav
from rapport.core.errors import RapportError
from rapport.core.head import head_script, head_shape
from rapport.core.pose import ROTATIONS, geodesic_deg, unwrap, wrap
from rapport.ray_jobs.reports.page import data_uri, render

FloatArray = npt.NDArray[np.float64]

MAX_MOTIONS = 4
# In the order of the motions, on a light and on a dark ground; told apart by the colour-blind too.
LIGHT_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b4588f")
DARK_COLOURS = ("#56b4e9", "#f28e43", "#3fc79a", "#e29ac6")
MEANINGS = {"roll": "+ right ear down", "pitch": "+ nose down", "yaw": "+ to its own left"}
# Loudness is drawn from so many peaks a second.
_PEAKS_HZ = 50
# Four decimals of a degree are embedded: less than a camera, a marker or an eye can tell.
_DECIMALS = 4


def motion_page(
    title: str,
    motions: Mapping[str, npt.ArrayLike],
    rate_hz: float,
    samples: npt.NDArray[np.float32] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> str:
    """A self-contained HTML page on one to four motions, which plays them side by side.

    `motions` maps a name to roll, pitch and yaw [T, 3] in degrees, the reference first; frame k belongs to (k + 1) / `rate_hz` seconds.
    Lengths may differ. `samples` [S] is the speech at 16 kHz; `facts` are written below the title. Raises RapportError where there are
    no such motions.
    """
    found, rate = checked(motions, rate_hz), float(rate_hz)
    duration_s = motion_duration_s(found, rate, samples)
    drawing: dict[str, Any] = {
        "rate_hz": rate,
        "duration_s": duration_s,
        "rotations": [{"name": name, "meaning": MEANINGS[name]} for name in ROTATIONS],
        "motions": [_drawn(name, degrees) for name, degrees in found.items()],
        "peaks": None if samples is None else {"rate_hz": _PEAKS_HZ, "values": loudness(samples, _PEAKS_HZ).round(3).tolist()},
        "head": head_shape(),
    }
    return render(
        "motion.html",
        title=title,
        facts=facts or {},
        drawing=drawing,
        head_script=head_script(),
        colours=list(zip(LIGHT_COLOURS, DARK_COLOURS, strict=True))[: len(found)],
        sound=None if samples is None else data_uri(encode_wav(padded(samples, duration_s)), "audio/wav"),
        table=motion_table(found, rate),
        angles=ROTATIONS,
        # The poses of a recording are often far off the axis of the camera: two such heads are compared about their own middles.
        centred=any(np.abs(motion["middle"]).max() > 12 for motion in drawing["motions"]),
    )


def checked(motions: Mapping[str, npt.ArrayLike], rate_hz: float) -> dict[str, FloatArray]:
    """The motions as float64 [T, 3]. Raises RapportError unless there are one to four, finite, of one frame or more, at a rate above 0."""
    if not 1 <= len(motions) <= MAX_MOTIONS:
        raise RapportError(f"got {len(motions)} motions, wanted 1 to {MAX_MOTIONS}: choose which to show")
    if not rate_hz > 0:
        raise RapportError(f"rate_hz is {rate_hz:g}, wanted the frames a second of the motions, above 0")
    found = {name: np.asarray(degrees, dtype=np.float64) for name, degrees in motions.items()}
    for name, degrees in found.items():
        if degrees.ndim != 2 or degrees.shape[1] != len(ROTATIONS) or not len(degrees):
            raise RapportError(f"motion {name!r} has shape {list(degrees.shape)}, wanted [T, 3] (roll, pitch, yaw) with T of at least 1")
        if bad := int((~np.isfinite(degrees)).any(1).sum()):
            raise RapportError(f"motion {name!r}: {bad} of {len(degrees)} frames are not finite: fill them, or cut them off")
    return found


def motion_duration_s(motions: Mapping[str, FloatArray], rate_hz: float, samples: npt.NDArray[np.float32] | None) -> float:
    """How long it takes until the last motion and the sound have ended."""
    return max(max(map(len, motions.values())) / rate_hz, 0 if samples is None else len(samples) / SAMPLE_RATE_HZ)


def loudness(samples: npt.NDArray[np.float32], rate_hz: int) -> FloatArray:
    """The peak of each 1 / `rate_hz` seconds as a share of the highest [ceil]; 0 where it is silent or not finite."""
    hop = SAMPLE_RATE_HZ // rate_hz
    padded = np.zeros(-(-len(samples) // hop) * hop)
    padded[: len(samples)] = np.nan_to_num(np.abs(samples), posinf=0.0)
    peaks: FloatArray = padded.reshape(-1, hop).max(1, initial=0.0)
    return peaks / max(float(peaks.max(initial=0.0)), 1e-9)


def middle(degrees: FloatArray) -> FloatArray:
    """The mean pose [3] of a motion [T, 3], which may cross 180 degrees."""
    return wrap(unwrap(degrees).mean(0))


def motion_table(motions: Mapping[str, FloatArray], rate_hz: float) -> list[dict[str, Any]]:
    """What a motion is in numbers: `mean` and `spread` (standard deviation) of each angle, mean `speed` in degrees per second (None for a
    single frame) and mean `distance` in degrees to the first motion, frame by frame (None for the first itself)."""
    rows: list[dict[str, Any]] = []
    first = next(iter(motions.values()))
    for name, degrees in motions.items():
        speed = float(rate_hz * geodesic_deg(degrees[:-1], degrees[1:]).mean()) if len(degrees) > 1 else None
        both = min(len(first), len(degrees))
        distance = float(geodesic_deg(first[:both], degrees[:both]).mean()) if rows else None
        spread = unwrap(degrees).std(0).tolist()
        rows.append({"name": name, "mean": middle(degrees).tolist(), "spread": spread, "speed": speed, "distance": distance})
    return rows


def _drawn(name: str, degrees: FloatArray) -> dict[str, Any]:
    return {"name": name, "degrees": degrees.T.round(_DECIMALS).tolist(), "middle": middle(degrees).round(_DECIMALS).tolist()}


def padded(samples: npt.NDArray[np.float32], duration_s: float) -> npt.NDArray[np.float32]:
    """The samples with silence up to the end of the motions, so that the sound can be the clock; what is not finite is silent too."""
    lacking = max(0, round(duration_s * SAMPLE_RATE_HZ) - len(samples))
    return np.pad(np.nan_to_num(np.asarray(samples, np.float32), posinf=0.0, neginf=0.0), (0, lacking))
