"""Workers reach each other at the addresses by which Ray knows their nodes.

Gloo, the collectives of trainings without GPUs, offers the address that a machine's own name resolves to. On Debian and Ubuntu that is
127.0.1.1, so that workers on several machines wait for each other until they time out.
"""

import os
import socket

import psutil
import ray
from ray.train._internal.base_worker_group import BaseWorkerGroup
from ray.train.torch.config import TorchConfig, _TorchBackend


class NodeNetwork(TorchConfig):
    """Ray's process group over the network of the cluster."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        """What sets the process group up."""
        return _NodeNetworkBackend


class _NodeNetworkBackend(_TorchBackend):
    def on_start(self, worker_group: BaseWorkerGroup, backend_config: TorchConfig) -> None:  # type: ignore[override]
        """Before the workers meet, each chooses its network."""
        worker_group.execute(_choose_network)
        super().on_start(worker_group, backend_config)


def _choose_network() -> None:
    found = interface_of(ray.util.get_node_ip_address())
    if found is not None:
        # Set by hand it stays: whoever has a faster network than Ray's knows best.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", found)


def interface_of(address: str) -> str | None:
    """The name of this machine's network interface that has the address, such as `eth0`; None when none has it."""
    families = (socket.AF_INET, socket.AF_INET6)
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.family in families and entry.address.split("%")[0] == address for entry in entries):
            return name
    return None
