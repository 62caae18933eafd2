"""What every job shares: its command line from first flag to last line, and the connection to Ray.

    if __name__ == "__main__":
        job(TrainSerConfig, run)             # run(config) -> dict: the result, printed as the last line

`run` opens Ray itself, after the configuration is known to be right:

    with start_ray() as resources:           # joins the cluster it was submitted to, or starts one on this computer
        ...
"""

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic_core import to_json

from rapport.core import storage
from rapport.core.config import JobConfig, load_config
from rapport.core.errors import RapportError
from rapport.ray_jobs.job_log import again, open_log

JobConfigT = TypeVar("JobConfigT", bound=JobConfig)

RESULT = "result.json"
# Read by Serve in every process when it starts: calls between its processes by gRPC, and no threads of Serve's own around an app, whose
# work has threads already. A fifth less latency and a third more requests, measured by benchmarks/serve_ser.py.
SERVE_ENVIRONMENT = {
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
}
_MIB = 2**20


def job(kind: type[JobConfigT], run: Callable[[JobConfigT], Mapping[str, Any]], argv: Sequence[str] | None = None) -> None:
    """Run one job from its command line, print its result as one line of JSON, and save the same in `result["folder"]`.

    The job's name is the file that defines `run`. An error that the user can mend (RapportError, also one raised inside a Ray task or a
    training worker) is told without a stack trace and ends the process with status 1, as Ctrl-C ends it with 130; every other error rises.
    However it failed, the command line that goes on with what was done is told. A result that says `"ok": False` ends it with status 1 as
    well, once it is printed.
    """
    name = job_name(run)
    log = open_log(name)
    try:
        _run(kind, run, name, argv)
    finally:
        if log is not None:
            log.finish()


def _run(kind: type[JobConfigT], run: Callable[[JobConfigT], Mapping[str, Any]], name: str, argv: Sequence[str] | None) -> None:
    started = False
    try:
        config = load_config(kind, argv, job=name, description=run.__globals__.get("__doc__"))
        started = True
        # JSON has no NaN: an undefined figure is null.
        result = json.loads(to_json(dict(run(config)), inf_nan_mode="null", fallback=_plain))
    except KeyboardInterrupt:
        print(f"stopped; to go on: {again(name, sys.argv[1:] if argv is None else argv)}", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        mendable = _mendable(error)
        if mendable is not None:
            print(_red(f"error: {mendable}"), file=sys.stderr, flush=True)
        if started:
            print(f"to go on: {again(name, sys.argv[1:] if argv is None else argv)}", file=sys.stderr, flush=True)
        if mendable is None:
            raise
        raise SystemExit(1) from None
    if "folder" in result:
        storage.write_json(storage.join(result["folder"], RESULT), result)
    sys.stderr.flush()
    print(json.dumps(result, ensure_ascii=False), flush=True)
    if result.get("ok") is False:
        raise SystemExit(1)


def job_name(run: Callable[..., Any]) -> str:
    """The name of the job that defines `run`: its file's name, also when the file runs as `__main__`."""
    return Path(run.__globals__["__file__"]).stem


@contextmanager
def start_ray(
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    object_store_mib: int | None = None,
    **init: Any,
) -> Iterator[dict[str, float]]:
    """The resources of the cluster this process now belongs to, as Ray names them: `{"CPU": 8.0, ...}`.

    Joins the Ray that is already initialised, or the cluster of `RAY_ADDRESS` (set by `ray job submit`); otherwise starts one on this
    computer, behind this user's token and without dashboard, and stops that one on leaving. The arguments size the cluster that is
    started: all processors and GPUs unless told, and a tenth of memory, between 512 MiB and 8 GiB, as object store. They mean nothing
    when joining. Further keywords go to `ray.init`.
    """
    joins = bool(os.environ.get("RAY_ADDRESS"))
    if not joins and "ray" not in sys.modules:
        # Ray reads this when it is imported; without it, every start would print a warning about its own default.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if not joins:
        ensure_token()
        os.environ.update(SERVE_ENVIRONMENT | os.environ)
    import ray

    if ray.is_initialized():
        yield ray.cluster_resources()
        return
    init = {"logging_level": "WARNING", **init}
    if joins:
        ray.init(**init)
    else:
        memory_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
        ray.init(
            # Never an address that happens to be written down on this computer: another person's cluster may run here.
            address="local",
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            object_store_memory=(object_store_mib or min(max(memory_mib // 10, 512), 8192)) * _MIB,
            **{"include_dashboard": False, **init},
        )
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def ensure_token() -> Path | None:
    """The file that holds this user's Ray token, made if need be, and readable by this user alone; None where no file is in use.

    Ray 2.60 makes the file readable by everyone on the computer, and whoever reads it may run code on the cluster.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return None
    path = token_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path


def token_path() -> Path:
    """Where Ray looks for this user's token."""
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()


def _mendable(error: BaseException | None, seen: frozenset[int] = frozenset()) -> RapportError | None:
    """The RapportError inside an error that Ray may have wrapped, several layers deep, or None."""
    if error is None or id(error) in seen:
        return None
    seen = seen | {id(error)}
    # Ray's task error inherits from its cause, yet prints a remote stack trace: prefer the cause itself.
    inner = [getattr(error, name, None) for name in ("cause", "_base_exc", "controller_failure", "__cause__")]
    inner += list(getattr(error, "worker_failures", {}).values())
    for candidate in inner:
        found = _mendable(candidate, seen) if isinstance(candidate, BaseException) else None
        if found is not None:
            return found
    return error if isinstance(error, RapportError) else None


def _plain(value: Any) -> Any:
    """A NumPy scalar or array as Python numbers."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _red(text: str) -> str:
    return f"\033[31m{text}\033[0m" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else text
