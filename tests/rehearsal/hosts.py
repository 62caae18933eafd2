"""Hosts on one Linux computer: each has an address, processes, a home and a folder of Ray of its own, and a login by key over SSH.

    with make_hosts(3, folder) as hosts:
        hosts[0].run("hostname -I")

A host is a network, a PID and a mount namespace, joined to the others and to this computer by a bridge. What they share with this computer
is the rest of the file system, as machines that were installed from one image and mount one shared folder do. Root only.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SUBNET = "10.77.0"
BRIDGE = "rapport0"
RAY = "/tmp/ray"
"""Where Ray keeps its sessions: each host has its own."""
FIRST = 11
"""Last part of the first host's address; the bridge, and so this computer, is 1."""


@dataclass(frozen=True)
class Host:
    """One made host."""

    name: str
    address: str
    home: Path
    """Where this computer sees the host's home folder."""
    key: Path
    """The private key that opens it."""
    init_pid: int
    """Its first process, as this computer counts: when it ends, so does every other of the host."""

    def ssh(self, command: str) -> list[str]:
        """The command line that runs a command there."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"]
        return ["ssh", "-i", str(self.key), *(part for o in options for part in ("-o", o)), f"root@{self.address}", command]

    def run(self, command: str, timeout_s: float = 60) -> str:
        """What a command prints there. Raises CalledProcessError when it fails."""
        return subprocess.run(self.ssh(command), check=True, capture_output=True, text=True, timeout=timeout_s).stdout

    def power_off(self) -> None:
        """End every process of the host at once, as pulling the plug does."""
        os.kill(self.init_pid, signal.SIGKILL)


def missing() -> str:
    """What keeps hosts from being made here, or nothing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts are made of Linux namespaces by root"
    tools = [tool for tool in ("ip", "sshd", "ssh", "ssh-keygen", "unshare", "rsync") if shutil.which(tool) is None]
    if tools:
        return f"install {', '.join(tools)} (Debian: apt-get install iproute2 openssh-server openssh-client util-linux rsync)"
    probe = subprocess.run(["unshare", "--net", "--pid", "--mount", "--fork", "true"], capture_output=True, text=True)
    return "" if probe.returncode == 0 else f"namespaces cannot be made: {probe.stderr.strip()}"


@contextmanager
def make_hosts(count: int, folder: Path) -> Iterator[list[Host]]:
    """Hosts with their homes under `folder`, taken down again at the end, whatever happens."""
    key = folder / "key"
    folder.mkdir(parents=True, exist_ok=True)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    with ExitStack() as stack:
        _run("ip", "link", "add", BRIDGE, "type", "bridge")
        stack.callback(_run, "ip", "link", "del", BRIDGE)
        _run("ip", "addr", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        yield [stack.enter_context(_host(f"rapport-{n}", f"{SUBNET}.{FIRST + n}", folder, key)) for n in range(count)]


@contextmanager
def _host(name: str, address: str, folder: Path, key: Path) -> Iterator[Host]:
    place = folder / name
    with ExitStack() as stack:
        _run("ip", "netns", "add", name)
        stack.callback(_run, "ip", "netns", "del", name)
        _run("ip", "link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", f"{name}v", "master", BRIDGE, "up")
        for words in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up", f"route add default via {SUBNET}.1"):
            _run("ip", "-n", name, *words.split())
        home, log = place / "home", place / "sshd.log"
        (home / ".ssh").mkdir(parents=True)
        (place / "ray").mkdir()
        (home / ".ssh" / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
        apart = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        server = subprocess.Popen(
            ["ip", "netns", "exec", name, *apart, "sh", "-ec", _init(name, place, key)],
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stack.callback(_end, server)
        yield _ready(Host(name, address, home, key, _child_of(server.pid)), log)


def _init(name: str, place: Path, key: Path) -> str:
    """What the first process of a host does: its own home and Ray folder over ours, then the SSH server. Python stays within reach."""
    python = Path(sys.base_prefix)
    keep = f"{place}/python" if python.is_relative_to(Path.home()) else ""
    seen = [f"mkdir -p {keep}", f"mount --bind {python} {keep}"] if keep else []
    back = [f"mkdir -p {python}", f"mount --bind {place}/python {python}"] if keep else []
    settings = "-o AuthorizedKeysFile=.ssh/authorized_keys -o StrictModes=no -o UsePAM=no -o PidFile=none"
    steps = [
        f"hostname {name}",
        f"mkdir -p /run/sshd {RAY}",
        f"mount --bind {place}/ray {RAY}",
        *seen,
        f"mount --bind {place}/home {Path.home()}",
        *back,
        f"exec {shutil.which('sshd')} -D -e -h {key} {settings}",
    ]
    return "; ".join(steps)


def _child_of(pid: int) -> int:
    """The first process inside the namespaces: the one child of `unshare`, which replaced `ip`."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for _ in range(100):
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.05)
    raise RuntimeError(f"process {pid} made no namespace")


def _ready(host: Host, log: Path) -> Host:
    for _ in range(50):
        if subprocess.run(host.ssh("true"), capture_output=True).returncode == 0:
            return host
        time.sleep(0.2)
    raise RuntimeError(f"{host.name} does not answer at {host.address}: {log.read_text()}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(timeout=10)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)
