"""One storage root, local or object store, with outputs that are complete or absent.

A path here is a string: a local path or a URI that `pyarrow.fs` understands (`s3://`, `gs://`, `file://`). `AWS_ENDPOINT_URL` names the
server where `s3://` is not Amazon's. A single file is written under a temporary name and moved (an object store's upload is atomic by
itself). An output folder is complete when its `manifest.json` exists, which is written last; its name carries the content key of what it
was made from, so a job that is run again finds its own earlier work.
"""

import errno
import hashlib
import json
import os
import posixpath
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rapport.core.errors import RapportError

MANIFEST = "manifest.json"
# Between them lie half a second, then twice as long each time, up to ten seconds on average.
_ATTEMPTS = 10


def resolve(path: str | Path) -> tuple[pafs.FileSystem, str]:
    """The file system and inner path of a path or URI; `~` is expanded and relative paths are made absolute."""
    text = str(path)
    if text.startswith("s3://") and not set("?@") & set(text):
        # Split here, so that keys may hold what a URI may not, such as spaces.
        inner = text.removeprefix("s3://").rstrip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return _s3(inner.partition("/")[0], endpoint, os.getpid()), inner
    if "://" in text:
        return pafs.FileSystem.from_uri(text)
    return pafs.LocalFileSystem(), str(Path(text).expanduser().absolute())


@lru_cache(maxsize=16)
def _s3(bucket: str, endpoint: str | None, pid: int) -> pafs.S3FileSystem:
    """The store that holds a bucket, which is asked once where it lies: by default every path would ask again.

    Requests are tried for about a minute, longer than the six seconds that Arrow would.
    """
    region = pafs.FileSystem.from_uri(f"s3://{bucket}")[0].region
    retries = pafs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS)
    return pafs.S3FileSystem(region=region, endpoint_override=endpoint, retry_strategy=retries)


def is_local(path: str | Path) -> bool:
    """Whether the path lies on a mounted file system rather than in an object store."""
    return isinstance(resolve(path)[0], pafs.LocalFileSystem)


def join(root: str | Path, *parts: str) -> str:
    """`root/part/...`, for paths and URIs alike."""
    return posixpath.join(str(root).rstrip("/") or "/", *parts)


def exists(path: str | Path) -> bool:
    """Whether a file or folder is there."""
    fs, inner = resolve(path)
    return fs.get_file_info(inner).type != pafs.FileType.NotFound


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there."""
    fs, inner = resolve(path)
    return fs.get_file_info(inner).type == pafs.FileType.Directory


def list_files(root: str | Path, *, suffixes: tuple[str, ...] = (), recursive: bool = True) -> list[str]:
    """Files below `root`, sorted, as full paths (URIs stay URIs); suffixes are compared without regard to case.

    Raises RapportError when `root` is no folder.
    """
    fs, inner = resolve(root)
    if fs.get_file_info(inner).type != pafs.FileType.Directory:
        raise RapportError(f"{root} is no folder that can be read")
    base = join(root) if "://" in str(root) else inner
    infos = fs.get_file_info(pafs.FileSelector(inner, recursive=recursive))
    names = (i.path for i in infos if i.type == pafs.FileType.File)
    wanted = (n for n in names if not suffixes or n.lower().endswith(suffixes))
    return sorted(join(base, posixpath.relpath(n, inner)) for n in wanted)


def read_bytes(path: str | Path) -> bytes:
    """The whole file."""
    fs, inner = resolve(path)
    with fs.open_input_stream(inner, compression=None) as stream:
        return stream.read()


def read_json(path: str | Path) -> Any:
    """The parsed file."""
    return json.loads(read_bytes(path))


def write_bytes(path: str | Path, data: bytes | memoryview) -> None:
    """Write the file whole or not at all; a reader never sees half of it."""
    fs, inner = resolve(path)
    if not isinstance(fs, pafs.LocalFileSystem):
        with fs.open_output_stream(inner) as stream:
            stream.write(data)
        return
    write_file(path, lambda temporary: Path(temporary).write_bytes(data))


def write_file(path: str | Path, write: Callable[[str], object]) -> None:
    """The same for a file that `write` makes, given the local path to make it at: for what is too large for one piece of memory."""
    fs, inner = resolve(path)
    if not isinstance(fs, pafs.LocalFileSystem):
        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, posixpath.basename(inner))
            write(local)
            pafs.copy_files(local, inner, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=fs)
        return
    os.makedirs(posixpath.dirname(inner), exist_ok=True)
    temporary = f"{inner}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, inner)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RapportError(f"no space is left for {inner}: make room there, or choose another storage (what is finished stays)") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file within one file system, whole or not at all; a local copy shares its bytes with the source as long as neither changes.

    Outputs are only ever replaced, never written into, so that the sharing is safe.
    """
    fs, inner = resolve(source)
    _, inner_target = resolve(target)
    if not isinstance(fs, pafs.LocalFileSystem):
        fs.copy_file(inner, inner_target)
        return
    os.makedirs(posixpath.dirname(inner_target), exist_ok=True)
    temporary = f"{inner_target}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        os.link(inner, temporary)
        os.replace(temporary, inner_target)
    except OSError:  # a file system without hard links
        write_bytes(target, read_bytes(source))
    finally:
        Path(temporary).unlink(missing_ok=True)


def sweep(folder: str | Path, before_s: float) -> None:
    """Remove the temporary files below a folder that a killed writer left before a time (seconds since the epoch)."""
    fs, inner = resolve(folder)
    for info in fs.get_file_info(pafs.FileSelector(inner, recursive=True, allow_not_found=True)):
        if info.type == pafs.FileType.File and info.path.endswith(".tmp") and (info.mtime_ns or 0) < before_s * 1e9:
            fs.delete_file(info.path)


def remove(path: str | Path) -> None:
    """Delete a file, or a folder with all that is below; one that is absent stays so."""
    fs, inner = resolve(path)
    kind = fs.get_file_info(inner).type
    if kind == pafs.FileType.Directory:
        fs.delete_dir(inner)
    elif kind == pafs.FileType.File:
        fs.delete_file(inner)


def write_json(path: str | Path, value: Any) -> None:
    """Write sorted, indented JSON, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_table(path: str | Path, table: pa.Table) -> None:
    """Write one Parquet file, whole or not at all; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, memoryview(sink.getvalue()))


def read_table(path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file."""
    fs, inner = resolve(path)
    return pq.read_table(inner, filesystem=fs, columns=columns)


def content_key(value: Mapping[str, Any]) -> str:
    """12 hex digits that stand for a JSON value: equal values, equal keys, on any machine."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def is_complete(folder: str | Path) -> bool:
    """Whether an output folder was finished."""
    return exists(join(folder, MANIFEST))


def finish(folder: str | Path, manifest: Mapping[str, Any]) -> None:
    """Mark an output folder as finished; call it after everything else is written."""
    write_json(join(folder, MANIFEST), dict(manifest))


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a finished output.

    Raises RapportError when the folder is absent or was not finished.
    """
    if not is_complete(folder):
        state = "was not finished (its job was killed or is still running: run the job again)" if exists(folder) else "does not exist"
        raise RapportError(f"{folder} {state}")
    return read_json(join(folder, MANIFEST))


def completed(root: str | Path, marker: str = MANIFEST) -> Iterator[str]:
    """The finished output folders directly below `root`, oldest first: those that hold the file `marker`."""
    fs, inner = resolve(root)
    if fs.get_file_info(inner).type != pafs.FileType.Directory:
        return
    manifests = [join(i.path, marker) for i in fs.get_file_info(pafs.FileSelector(inner)) if i.type == pafs.FileType.Directory]
    infos = [i for i in fs.get_file_info(manifests) if i.type == pafs.FileType.File]
    for info in sorted(infos, key=lambda i: (i.mtime_ns or 0, i.path)):
        yield join(root, posixpath.basename(posixpath.dirname(info.path)))


def local_copy(path: str | Path, cache: str | Path | None = None) -> Path:
    """A local path to the same file or folder: itself when local, else a copy kept in a cache keyed by the URI.

    The cache is `RAPPORT_CACHE` or `~/.cache/rapport`.
    """
    fs, inner = resolve(path)
    if isinstance(fs, pafs.LocalFileSystem):
        return Path(inner)
    root = Path(cache or os.environ.get("RAPPORT_CACHE", "~/.cache/rapport")).expanduser()
    info = fs.get_file_info(inner)
    if info.type == pafs.FileType.NotFound:
        raise RapportError(f"{path} does not exist")
    target = root / content_key({"uri": str(path)}) / posixpath.basename(inner.rstrip("/"))
    files = (
        [(info, target)]
        if info.type == pafs.FileType.File
        else [
            (f, target / posixpath.relpath(f.path, inner))
            for f in fs.get_file_info(pafs.FileSelector(inner, recursive=True))
            if f.type == pafs.FileType.File
        ]
    )
    for file, place in files:
        # Same size and not older: the cached copy stands.
        if not (place.is_file() and place.stat().st_size == file.size and place.stat().st_mtime_ns >= (file.mtime_ns or 0)):
            with fs.open_input_stream(file.path, compression=None) as stream:
                write_bytes(place, stream.read())
    return target


def put_folder(source: str | Path, target: str | Path) -> None:
    """Copy a local folder to a path or URI, file by file, each whole or not at all."""
    for file in sorted(Path(source).rglob("*")):
        if file.is_file():
            write_bytes(join(target, file.relative_to(source).as_posix()), file.read_bytes())
