"""`ray up clusters/local.yaml` on made hosts, and what a person then does from their own computer."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.hosts import Host

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PORT = 18265
"""Of the forwarded job server, so that a Ray of this computer can keep the usual one."""


@dataclass
class Cluster:
    """A launched cluster as its user sees it."""

    hosts: Sequence[Host]
    file: Path
    token: Path
    storage: Path
    log: Path
    timings_s: dict[str, float] = field(default_factory=dict)
    _forward: "subprocess.Popen[bytes] | None" = None

    @property
    def environment(self) -> dict[str, str]:
        """Of every client."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_UP_enable_autoscaler_v2": "0",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{PORT}",
        }

    def ray(self, *words: str, timeout_s: float = 300) -> str:
        """What a command line of Ray prints; it is timed and logged. Raises AssertionError with that when it fails."""
        began = time.monotonic()
        command = [str(BIN / "ray"), *words]
        found = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, env=self.environment)
        took = time.monotonic() - began
        with self.log.open("a") as log:
            log.write(f"$ ray {' '.join(words)}\n{found.stdout}{found.stderr}\n[{took:.1f} s, status {found.returncode}]\n\n")
        assert found.returncode == 0, f"ray {' '.join(words)}: {found.stdout[-3000:]}{found.stderr[-3000:]}"
        return found.stdout

    def on_head(self, command: str, timeout_s: float = 60) -> str:
        """What a command line of Ray prints on the head."""
        return self.hosts[0].run(f". ~/.rapport_environment && {command}", timeout_s)

    def job(self, name: str, *words: str, timeout_s: float = 900) -> dict[str, Any]:
        """The result of `python -m rapport.ray_jobs.<name> ...`, submitted and waited for."""
        began = time.monotonic()
        command = ["python", "-m", f"rapport.ray_jobs.{name}", *words]
        printed = self.ray("job", "submit", "--working-dir", ".", "--", *command, timeout_s=timeout_s)
        self.timings_s[name] = time.monotonic() - began
        lines = [line for line in printed.splitlines() if line.startswith("{") and line.endswith("}")]
        assert lines, f"{name} printed no result: {printed[-3000:]}"
        result: dict[str, Any] = json.loads(lines[-1])
        return result

    def up(self) -> None:
        """Launch it, or launch again what has gone."""
        self.ray("up", "--yes", "--no-config-cache", str(self.file), timeout_s=900)

    def connect(self) -> None:
        """Have its job server at a port of this computer, until `disconnect`."""
        self.disconnect()
        words = [str(BIN / "ray"), "dashboard", "--port", str(PORT), str(self.file)]
        with self.log.open("ab") as log:
            self._forward = subprocess.Popen(words, stdout=log, stderr=log, env=self.environment, start_new_session=True, cwd=ROOT)

    def disconnect(self) -> None:
        """Forward nothing."""
        if self._forward is not None:
            os.killpg(self._forward.pid, 15)
            self._forward.wait(timeout=10)
            self._forward = None


@contextmanager
def launch(hosts: Sequence[Host], folder: Path, cpus: int = 1) -> Iterator[Cluster]:
    """The first host as head and the others as workers of `cpus` each, up until the end of the block."""
    token, storage = folder / "auth_token", folder / "shared"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    storage.mkdir()
    file = folder / "local.yaml"
    cluster = Cluster(hosts, file, token, storage, folder / "rehearsal.log")
    file.write_text(yaml.safe_dump(edited(hosts, token, storage, cpus), sort_keys=False))
    began = time.monotonic()
    try:
        cluster.up()
        cluster.timings_s["ray up"] = time.monotonic() - began
        cluster.connect()
        wait_for_workers(cluster, len(hosts) - 1)
        cluster.timings_s["every worker joined"] = time.monotonic() - began
        yield cluster
    finally:
        cluster.disconnect()
        began = time.monotonic()
        cluster.ray("down", "--yes", str(file))
        cluster.timings_s["ray down"] = time.monotonic() - began


def edited(hosts: Sequence[Host], token: Path, storage: Path, cpus: int) -> dict[str, Any]:
    """clusters/local.yaml with what is marked EDIT filled in; for an installation, the one of this computer, which all hosts see."""
    described: dict[str, Any] = yaml.safe_load((ROOT / "clusters" / "local.yaml").read_text())
    described["cluster_name"] = f"rehearsal-{secrets.token_hex(3)}"
    described["provider"] |= {"head_ip": hosts[0].address, "worker_ips": [host.address for host in hosts[1:]]}
    described["auth"] = {"ssh_user": "root", "ssh_private_key": str(hosts[0].key)}
    described |= {"min_workers": len(hosts) - 1, "max_workers": len(hosts) - 1}
    described["file_mounts"]["~/.ray/auth_token"] = str(token)
    # An absolute path stays as it is.
    described["file_mounts"] = {there: str(ROOT / here) for there, here in described["file_mounts"].items()}
    setup = [command for command in described["setup_commands"] if "uv sync" not in command and "astral.sh" not in command]
    changes = {"$HOME/rapport-environment/.venv/bin": str(BIN), "/mnt/shared/rapport": str(storage)}
    for old, new in changes.items():
        setup = [command.replace(old, new) for command in setup]
    described["setup_commands"] = setup
    small = f"--num-cpus={cpus} --num-gpus=0 --memory={2**31} --object-store-memory={200 * 2**20}"
    described["worker_start_ray_commands"] = [f"{c} {small}" if "ray start" in c else c for c in described["worker_start_ray_commands"]]
    described["head_start_ray_commands"] = [
        f"{c} --object-store-memory={200 * 2**20}" if "ray start" in c else c for c in described["head_start_ray_commands"]
    ]
    return described


def wait_for_workers(cluster: Cluster, count: int, patience_s: float = 400) -> None:
    """Until so many machines besides the head are there. Raises AssertionError when they do not come."""
    last = ""
    listing = cluster.hosts[0].ssh(". ~/.rapport_environment && ray list nodes --format json --filter state=ALIVE")
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = subprocess.run(listing, capture_output=True, text=True)
        last = found.stdout + found.stderr
        if found.returncode == 0 and len(json.loads(found.stdout[found.stdout.index("[") :])) == count + 1:
            return
        time.sleep(2)
    raise AssertionError(f"not every worker joined: {last}")
