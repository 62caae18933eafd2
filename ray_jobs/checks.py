"""Looks at one machine: each check tells what it found and, when something is missing, what to do about it.

Every check is a function that returns a finding and raises RapportError, with the advice as its text, for what is missing.
"""

import io
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from rapport.core import storage
from rapport.core.errors import RapportError
from rapport.ray_jobs.runtime import token_path
from rapport.ray_jobs.upload import MAX_UPLOAD_BYTES, uploaded_files

State = Literal["ok", "note", "missing"]
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    machine: str
    check: str
    state: State
    """`note` is worth knowing and stops nothing."""
    found: str


class Note(RapportError):
    """Something worth knowing that stops nothing."""


def look(machine: str, checks: dict[str, Callable[[], str]]) -> list[Finding]:
    """The findings of all checks, in order; one that fails in a way nobody foresaw counts as missing."""
    findings = []
    for name, check in checks.items():
        state: State = "ok"
        try:
            found = check()
        except Note as note:
            state, found = "note", str(note)
        except Exception as error:
            state, found = "missing", str(error) if isinstance(error, RapportError) else f"{type(error).__name__}: {error}"
        findings.append(Finding(machine, name, state, found))
    return findings


def worker_checks(storage_root: str) -> dict[str, Callable[[], str]]:
    """What every machine that runs our tasks needs."""
    return {
        "Python and packages": packages,
        "processor and memory": machine_size,
        "GPU": gpus,
        "storage": lambda: storage_writable(storage_root),
        "audio formats": codecs,
        "embedded voice": voice,
        "embedded ears": ears,
    }


def submitter_checks(root: Path) -> dict[str, Callable[[], str]]:
    """What the machine that submits jobs and serves needs."""
    return {
        "token": token,
        "ports": ports,
        "upload size": lambda: upload_size(root),
        "model hub": hub,
    }


def packages() -> str:
    """Python's version and those of the packages that must agree."""
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise RapportError(f"Python {sys.version.split()[0]}, wanted 3.11 to 3.13: make PYTHON=python3.12")
    names = ("ray", "torch", "torchaudio", "transformers", "datasets")
    try:
        versions = {name: metadata.version(name) for name in names}
    except metadata.PackageNotFoundError as error:
        raise RapportError(f"package {error.name} is not installed in {sys.prefix}: run `uv sync --locked`") from error
    if versions["torch"].split("+")[0].rsplit(".", 1)[0] != versions["torchaudio"].split("+")[0].rsplit(".", 1)[0]:
        raise RapportError(f"torch {versions['torch']} and torchaudio {versions['torchaudio']} do not fit: run `uv sync --locked`")
    return f"Python {sys.version.split()[0]}, " + ", ".join(f"{name} {version}" for name, version in versions.items())


def machine_size() -> str:
    """Processors and memory."""
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    found = f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} processors, {memory_gib:.0f} GiB"
    if memory_gib < 6:
        raise Note(f"{found}: training with the embedded encoder wants about 6 GiB")
    return found


def gpus() -> str:
    """Each CUDA device, its memory, and whether it computes in bfloat16."""
    import torch

    if not torch.cuda.is_available():
        raise Note("none: everything runs on the processor; pretrained encoders of base size then take hours, not minutes")
    devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    bf16 = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bfloat16: training falls back to 32 bits"
    return ", ".join(f"{d.name} {d.total_memory / _GIB:.0f} GiB" for d in devices) + f", {bf16}"


def storage_writable(root: str, wanted_gib: float = 5.0) -> str:
    """Writes, reads and deletes a small file under the storage root, and tells the free space of a local one."""
    probe = storage.join(root, f".doctor-{os.getpid()}-{time.time_ns()}")
    try:
        storage.write_bytes(probe, b"rapport")
        same = storage.read_bytes(probe) == b"rapport"
        file_system, inner = storage.resolve(probe)
        file_system.delete_file(inner)
    except Exception as error:
        raise RapportError(f"cannot write to {root}: {error}; set --storage or RAPPORT_STORAGE") from error
    if not same:
        raise RapportError(f"{root} gave back other bytes than were written; set --storage or RAPPORT_STORAGE")
    if not storage.is_local(root):
        return f"{root} is writable"
    free_gib = shutil.disk_usage(Path(inner).parent).free / _GIB
    if free_gib < wanted_gib:
        raise Note(f"{root} is writable, but only {free_gib:.1f} GiB are free; an hour of prepared speech takes 0.11 GiB")
    return f"{root} is writable, {free_gib:.0f} GiB free"


def storage_shared(marker: str) -> str:
    """Whether this machine sees a file that another machine wrote."""
    if not storage.exists(marker):
        raise RapportError(f"{marker}, written on another machine, is not to be seen here: set --storage to a shared folder or a bucket")
    return "the same on every machine"


def codecs() -> str:
    """Encodes a tone in each format that corpora and browsers use and decodes it again."""
    from rapport.core.audio import decode

    failed = {}
    for name in ("wav", "flac", "ogg", "mp3", "m4a"):
        try:
            samples, _ = decode(_tone_as(name))
            if samples.shape[1] < 8_000:
                failed[name] = f"only {samples.shape[1]} samples came back"
        except Exception as error:  # a codec library can fail in any way; the point is to name the format
            failed[name] = f"{type(error).__name__}: {error}"
    if failed:
        raise RapportError("; ".join(f"{name}: {why}" for name, why in failed.items()) + "; reinstall soundfile and av: uv sync --locked")
    return "wav, flac, ogg, mp3, m4a decode"


def _tone_as(name: str) -> bytes:
    """One second of 440 Hz at 16 kHz in a format."""
    import av
    import numpy as np
    import soundfile

    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.float32)
    sink = io.BytesIO()
    if name != "m4a":
        soundfile.write(sink, tone, 16_000, format=name.upper())
        return sink.getvalue()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return sink.getvalue()


def voice() -> str:
    """Speaks a word with the embedded voice."""
    from rapport.core.speech import Voice
    from rapport.models.backends.tts import espeak

    engine = espeak.load()
    samples, rate_hz = engine.speak("hello", Voice("en-us+f1"))
    if abs(samples).max(initial=0) == 0:
        raise RapportError("espeak-ng gave silence: reinstall espeakng-loader (uv sync --locked)")
    return f"{' '.join(engine.provenance.values())}, {len(samples) / rate_hz:.1f} s spoken"


def ears() -> str:
    """Loads the English model of the embedded recogniser."""
    from rapport.models.backends.asr import pocketsphinx

    pocketsphinx.load(sentences=["hello"])
    return f"pocketsphinx {metadata.version('pocketsphinx')} with its English model"


def token() -> str:
    """Whether Ray's token is there and readable by this user alone."""
    mode = os.environ.get("RAY_AUTH_MODE", "")
    if mode.lower() == "disabled":
        raise Note("RAY_AUTH_MODE=disabled: whoever reaches the cluster may run code on it")
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "taken from RAY_AUTH_TOKEN"
    path = token_path()
    if not path.is_file():
        raise Note(f"no {path} yet: the first local run makes one; for a cluster: ray get-auth-token --generate && chmod 600 {path}")
    if path.stat().st_mode & 0o077:
        raise RapportError(f"{path} can be read by others on this machine, who may then run code on the cluster: chmod 600 {path}")
    return f"{path}, readable by you alone" + ("" if mode else "; clients of a cluster also need RAY_AUTH_MODE=token")


def ports() -> str:
    """Which of the usual ports are free."""
    usual = {8000: "serving", 8265: "dashboard and jobs", 6379: "cluster head"}
    taken = {port: use for port, use in usual.items() if not port_is_free(port)}
    if taken:
        listed = ", ".join(f"{port} ({use})" for port, use in taken.items())
        raise Note(f"in use already: {listed}; quickstart takes the next free ones")
    return ", ".join(f"{port} ({use})" for port, use in usual.items()) + " are free"


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def upload_size(root: Path) -> str:
    """How much `--working-dir` would send, and the largest of it when that is too much."""
    files = uploaded_files(root)
    total = sum(size for _, size in files)
    found = f"{total / 2**20:.1f} MiB in {len(files)} files from {root}"
    if total > MAX_UPLOAD_BYTES:
        largest = sorted(files, key=lambda f: -f[1])[:3]
        listed = ", ".join(f"{path.relative_to(root)} ({size / 2**20:.0f} MiB)" for path, size in largest)
        raise RapportError(
            f"{found}, Ray's limit is {MAX_UPLOAD_BYTES // 2**20} MiB: name in .rayignore what a job does not need, as {listed}"
        )
    return found


def hub() -> str:
    """Whether models can be fetched by their hub id."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise Note("HF_HUB_OFFLINE is set: name pretrained models by folder, or use the embedded ones")
    host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").removeprefix("https://").removeprefix("http://").split("/")[0]
    try:
        socket.create_connection((host.split(":")[0], 443), timeout=3).close()
    except OSError:
        raise Note(
            f"{host} is not reachable: set HF_HUB_OFFLINE=1 and name pretrained models by folder, or use the embedded ones"
        ) from None
    return f"{host} is reachable"
