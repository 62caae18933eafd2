"""Hosts on one Linux computer: each has an address, processes, a home and a folder of Ray of its own, and a login by key over SSH.

    with make_hosts(3, folder) as hosts:
        hosts[0].run("hostname -I")

A host is a network, a PID and a mount namespace, joined to the others and to this computer by a bridge. What they share with this computer
is the rest of the file system, as machines that were installed from one image and mount one shared folder do. Root only.
"""

import os
import shutil
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


@dataclass
class Host:
    """One made host."""

    name: str
    address: str
    place: Path
    """What is its own of the file system."""
    key: Path
    """The private key that opens it."""
    server: "subprocess.Popen[bytes] | None" = None
    """Its first process, seen from this computer: when it ends, so does every other of the host."""

    @property
    def home(self) -> Path:
        """Where this computer sees the host's home folder."""
        return self.place / "home"

    def ssh(self, command: str) -> list[str]:
        """The command line that runs a command there."""
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=5"]
        return ["ssh", "-i", str(self.key), *(part for o in options for part in ("-o", o)), f"root@{self.address}", command]

    def run(self, command: str, timeout_s: float = 60) -> str:
        """What a command prints there. Raises CalledProcessError when it fails."""
        return subprocess.run(self.ssh(command), check=True, capture_output=True, text=True, timeout=timeout_s).stdout

    def power_on(self) -> None:
        """Start it, and wait until it can be logged in to. Its disk is as it was; nothing runs that ran before."""
        _run("ip", "link", "set", f"{self.name}v", "up")
        apart = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        log = self.place / "sshd.log"
        self.server = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *apart, "sh", "-ec", _init(self.name, self.place, self.key)],
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for _ in range(50):
            if subprocess.run(self.ssh("true"), capture_output=True).returncode == 0:
                return
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} does not answer at {self.address}: {log.read_text()}")

    def power_off(self) -> None:
        """Pull its plugs: it is off the network, and every process of it has ended, none with a goodbye."""
        _run("ip", "link", "set", f"{self.name}v", "down")
        if self.server is not None:
            self.server.kill()
            self.server.wait(timeout=10)
            self.server = None


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
    host = Host(name, address, folder / name, key)
    with ExitStack() as stack:
        _run("ip", "netns", "add", name)
        stack.callback(_run, "ip", "netns", "del", name)
        _run("ip", "link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", name)
        # By name: connections that end slowly keep a network, and this end of its cable, longer than its name.
        stack.callback(_run, "ip", "link", "del", f"{name}v")
        _run("ip", "link", "set", f"{name}v", "master", BRIDGE, "up")
        for words in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up", f"route add default via {SUBNET}.1"):
            _run("ip", "-n", name, *words.split())
        (host.home / ".ssh").mkdir(parents=True)
        (host.place / "ray").mkdir()
        (host.home / ".ssh" / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
        stack.callback(host.power_off)
        host.power_on()
        yield host


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


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)
