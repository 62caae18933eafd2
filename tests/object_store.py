"""An object store of S3's protocol on this computer, in a process that can be held and let go."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

BUCKET = "rapport-test"


@dataclass(frozen=True)
class ObjectStore:
    """A running store with one bucket."""

    url: str
    pid: int

    @property
    def uri(self) -> str:
        """A storage root in it."""
        return f"s3://{BUCKET}/root"

    @property
    def environment(self) -> dict[str, str]:
        """With which processes find it, and nothing but it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Answers nobody while this lasts: connections hang, as when a network is cut."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """A store that lives as long as the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    store = ObjectStore(f"http://127.0.0.1:{port}", process.pid)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.put(f"{store.url}/{BUCKET}", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, "the object store did not start"
                assert time.monotonic() < deadline, "the object store does not answer"
                time.sleep(0.1)
        yield store
    finally:
        process.kill()
        process.wait()
