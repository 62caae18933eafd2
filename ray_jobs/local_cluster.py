"""A Ray cluster of one computer with a job server, and jobs submitted to it as `ray job submit` does.

with local_cluster() as cluster:
    done = cluster.run("python -m rapport.ray_jobs.doctor", told=print)
"""

import json
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapport.core.errors import RapportError
from rapport.ray_jobs.checks import port_is_free
from rapport.ray_jobs.provenance import revision
from rapport.ray_jobs.runtime import SERVE_ENVIRONMENT, ensure_token

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

# Ray reads this once, when it is imported, and whatever lists the files of an upload imports it.
os.environ.setdefault("RAY_AUTH_MODE", "token")

_ROOT = Path(__file__).resolve().parents[1]
_POLL_S = 0.4
_AGENT_WAIT_S = 60.0
_START_WAIT_S = 120.0
_STOP_WAIT_S = 30.0
# `ray`, which on Linux the system asks to stop (15) when the process that started it is gone, however that ended (1: PR_SET_PDEATHSIG).
_RAY = """
import ctypes, runpy, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
runpy.run_module("ray.scripts.scripts", run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job that came to an end."""

    ok: bool
    result: dict[str, Any]
    """The last line of its output that is a JSON object; empty when there is none."""
    log: str
    seconds: float


class LocalCluster:
    """A running cluster."""

    def __init__(self, dashboard: str, client: "JobSubmissionClient") -> None:
        self.dashboard = dashboard
        self._client = client

    def submit_line(self, command: str) -> str:
        """What to type to submit the same job."""
        return f"ray job submit --address {self.dashboard} --working-dir . -- {command}"

    def run(self, command: str, told: Callable[[str], None]) -> Outcome:
        """Submit a command, tell the last line of its log whenever that changes, and return when it has ended.

        Stops the job when it is interrupted itself.
        """
        began_s, last = time.monotonic(), ""
        runtime_env: dict[str, Any] = {"env_vars": {"RAPPORT_REVISION": revision()}}
        if (_ROOT / "pyproject.toml").is_file():
            runtime_env["working_dir"] = str(_ROOT)
        job_id = self._submit(command, runtime_env)
        try:
            while not (status := self._client.get_job_status(job_id)).is_terminal():
                time.sleep(_POLL_S)
                line = _last_line(self._client.get_job_logs(job_id))
                if line != last:
                    last = line
                    told(line)
        except BaseException:
            self._client.stop_job(job_id)
            raise
        log = self._client.get_job_logs(job_id)
        return Outcome(status == "SUCCEEDED", _last_object(log), log, time.monotonic() - began_s)

    def _submit(self, command: str, runtime_env: dict[str, Any]) -> str:
        """The id of the submitted job. The job server answers some seconds before the agent that starts jobs has come up."""
        deadline_s = time.monotonic() + _AGENT_WAIT_S
        while True:
            try:
                return self._client.submit_job(entrypoint=command, runtime_env=runtime_env)
            except RuntimeError as error:
                if "No available agent" not in str(error) or time.monotonic() > deadline_s:
                    raise
                time.sleep(1)


@contextmanager
def local_cluster(num_cpus: int | None = None) -> Iterator[LocalCluster]:
    """A cluster of this computer alone, with a dashboard and job server on loopback; everything it started is gone afterwards.

    It keeps its files in a folder of its own and takes free ports, so that other clusters on this computer are left in peace.
    Raises RapportError when Ray does not come up.
    """
    ensure_token()
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(_started(num_cpus, free_port(8265)))
        except _Taken:
            cluster = stack.enter_context(_started(num_cpus, _unused_port()))
        yield cluster


class _Taken(RapportError):
    """Another cluster, begun at the same moment, answers at the port."""


@contextmanager
def _started(num_cpus: int | None, dashboard_port: int) -> Iterator[LocalCluster]:
    # Short, and not in TMPDIR: the path of a Unix socket has room for 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="rapport-", dir="/tmp"))
    # Jobs run the first `python` they find: let it be this one. And no other cluster that the shell points at.
    environment = SERVE_ENVIRONMENT | {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    options = {
        "num-cpus": num_cpus or os.cpu_count() or 1,
        "object-store-memory": 512 * 2**20,
        "node-ip-address": "127.0.0.1",
        "port": _unused_port(),
        "ray-client-server-port": _unused_port(),
        "dashboard-host": "127.0.0.1",
        "dashboard-port": dashboard_port,
        # ray.init cannot move this one, and without it the cluster takes no jobs where another Ray runs.
        "dashboard-agent-listen-port": _unused_port(),
        "temp-dir": folder,
    }
    command = [sys.executable, "-c", _RAY, "start", "--head", "--block", "--include-dashboard=true", "--disable-usage-stats"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (folder / "start.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{dashboard_port}"
        yield LocalCluster(address, _connect(address, process, folder))
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _connect(address: str, process: subprocess.Popen[bytes], folder: Path) -> "JobSubmissionClient":
    """A client of the cluster's job server, once it answers.

    Raises _Taken when the job server at the address is another cluster's, and RapportError when Ray does not come up.
    """
    from ray.job_submission import JobSubmissionClient

    # They tell of every package and of what Ray leaves out of it; the import above sets their levels.
    for name in ("ray._private.runtime_env.packaging", "ray._private.runtime_env.working_dir", "ray.dashboard.modules.dashboard_sdk"):
        logging.getLogger(name).setLevel(logging.ERROR)
    deadline_s = time.monotonic() + _START_WAIT_S
    while True:
        try:
            client = JobSubmissionClient(address)
            break
        except (ConnectionError, RuntimeError) as error:
            if process.poll() is None and time.monotonic() < deadline_s:
                time.sleep(0.5)
                continue
            told = (folder / "start.log").read_text(encoding="utf-8", errors="replace")[-2000:]
            raise RapportError(f"Ray did not start on this computer within {_START_WAIT_S:.0f} s ({error}); it said:\n{told}") from error
    session = client._do_request("GET", "/api/version").json()["session_name"]
    if not (folder / session).is_dir():
        raise _Taken(f"another Ray cluster took {address} while this one was starting: try again")
    return client


def _unused_port() -> int:
    """A port that the system says nobody uses; unlike the first free one, two clusters that start together do not both find it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def free_port(first: int) -> int:
    """The first port from `first` on where nothing listens on loopback."""
    return next(port for port in range(first, first + 1000) if port_is_free(port))


def command_line(job: str, *arguments: str) -> str:
    """`python -m rapport.ray_jobs.<job> <arguments>`, quoted for a shell."""
    return shlex.join(["python", "-m", f"rapport.ray_jobs.{job}", *arguments])


def _last_line(log: str) -> str:
    # A progress bar writes over its line: what follows the last carriage return is what is seen.
    lines = [line.rsplit("\r", 1)[-1].strip() for line in log[-4000:].splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("{")), "")


def _last_object(log: str) -> dict[str, Any]:
    for line in reversed(log.splitlines()):
        if line.startswith("{"):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                return value
    return {}
