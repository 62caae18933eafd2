"""Speech for pretraining: each line spoken once and clean, then fanned out into clips with noise of their own; 16-bit WAV files."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rapport.core import storage
from rapport.core.audio import decode, encode_wav, from_pcm16, rms_db, to_mono, to_pcm16
from rapport.core.errors import RapportError
from rapport.datasets.agent_data.config import SpeechConfig
from rapport.datasets.agent_data.noise import add_noise
from rapport.datasets.agent_data.work import Row
from rapport.datasets.synthetic.seeds import generator
from rapport.simulator.requests import Failure, Result, Service, SpeechRequest

RATE_HZ = 22_050
"""Rate of all clips, whatever the rate of a simulator: as published."""
SILENCE_DB = -80.0
"""Speech of a lower RMS level (dB of full scale) is refused."""

CLIPS = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),  # below the folder of the data
        pa.field("item_id", pa.int32(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("side", pa.string(), nullable=False),  # or `clean`
        pa.field("pattern", pa.int32(), nullable=False),  # i, which utterance of the item
        pa.field("text", pa.string(), nullable=False),
        pa.field("voice", pa.string(), nullable=False),
        pa.field("number", pa.int32()),  # j of the picture with which it goes; clips with noise only
        pa.field("samples", pa.int32()),  # at 22,050 Hz; this and the next of good clips only
        pa.field("sha256", pa.string()),  # of the file
        pa.field("reason", pa.string()),  # clips that cannot be used: failed, empty, not_finite, silent or no_source
        pa.field("message", pa.string()),
    ]
)
"""`clips.parquet`, before units."""


class SpeechMaker:
    """Has the clean clips of a chunk spoken, below `folder`."""

    def __init__(self, open_service: Callable[[], Service[SpeechRequest]], folder: str, config: SpeechConfig) -> None:
        self.service, self.folder, self.config = open_service(), folder, config

    def __call__(self, planned: Sequence[Mapping[str, Any]]) -> list[Row]:
        """One batch for all lines, then one for those at which the service failed, until the attempts are spent."""
        rows: dict[str, Row] = {}
        remaining = list(planned)
        for _ in range(self.config.attempts):
            if not remaining:
                break
            results = self.service.batch([SpeechRequest(one["text"], one["voice"], RATE_HZ) for one in remaining])
            for one, result in zip(remaining, results, strict=True):
                rows[one["path"]] = {**one, **self._judge(one["path"], result)}
            remaining = [one for one in remaining if rows[one["path"]].get("reason") == "failed"]
        return [rows[one["path"]] for one in planned]

    def _judge(self, path: str, result: Result) -> Row:
        """The facts of a clip that was written, or what is wrong with it."""
        if isinstance(result, Failure):
            return {"reason": "failed", "message": result.reason}
        if not isinstance(result, np.ndarray) or result.ndim != 1:
            found = f"an array of {result.ndim} axes" if isinstance(result, np.ndarray) else type(result).__name__
            raise RapportError(f"the speech service gave {found} for {path}, wanted float32 [S]")
        if not len(result):
            return {"reason": "empty", "message": "there is not a single sample"}
        if not np.isfinite(result).all():
            return {"reason": "not_finite", "message": f"{int((~np.isfinite(result)).sum())} of {len(result)} samples are NaN or infinite"}
        if (level_db := rms_db(result)) < SILENCE_DB:
            return {"reason": "silent", "message": f"level is {level_db:.0f} dB of full scale, wanted {SILENCE_DB:g} or more"}
        return _write(storage.join(self.folder, path), to_pcm16(result / max(1.0, float(np.abs(result).max()))))


class NoiseMaker:
    """Makes the clips with noise of a chunk from clean ones that lie below `folder`. The noise depends on the seed and the path alone."""

    def __init__(self, folder: str, config: SpeechConfig, seed: int) -> None:
        self.folder, self.config, self.seed = folder, config, seed

    def __call__(self, planned: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Every clip whose clean one is there."""
        sources: dict[str, npt.NDArray[np.int16] | None] = {}
        rows = []
        for one in planned:
            source = one["source"]
            if source not in sources:
                path = storage.join(self.folder, source)
                sources[source] = read_pcm(path) if storage.exists(path) else None
            speech = sources[source]
            if speech is None:
                rows.append({**one, "reason": "no_source", "message": f"{source} could not be spoken"})
                continue
            rng = generator(self.seed, "noise", one["path"])
            noisy = add_noise(speech, RATE_HZ, self.config.snr_db, rng, published_tail=self.config.published_tail)
            pcm = np.clip(np.rint(noisy), -32768, 32767).astype(np.int16)
            rows.append({**one, **_write(storage.join(self.folder, one["path"]), pcm)})
        return rows


def read_clip(path: str) -> npt.NDArray[np.float32]:
    """The speech in a file, float32 [S] at 22,050 Hz."""
    samples, rate_hz = decode(path)
    if rate_hz != RATE_HZ:
        raise RapportError(f"{path} has a rate of {rate_hz:,} Hz, wanted {RATE_HZ:,}: prepare the data again")
    return to_mono(samples)


def read_pcm(path: str) -> npt.NDArray[np.int16]:
    """The same as 16-bit samples."""
    return to_pcm16(read_clip(path))


def _write(path: str, pcm: npt.NDArray[np.int16]) -> Row:
    data = encode_wav(from_pcm16(pcm), RATE_HZ)
    storage.write_bytes(path, data)
    return {"samples": len(pcm), "sha256": hashlib.sha256(data).hexdigest(), "reason": None}
