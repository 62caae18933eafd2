"""Model folders: `config.json`, `model.safetensors`, `README.md` (the model card) and `metrics.json`; a folder or an object-store URI."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor, nn

from rapport import __version__
from rapport.core import storage
from rapport.core.errors import RapportError

CONFIG, WEIGHTS, CARD, METRICS = "config.json", "model.safetensors", "README.md", "metrics.json"


class ModelError(RapportError):
    """A model folder that cannot be loaded."""


def save_folder(
    folder: str | Path,
    kind: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    card: str,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder, each file whole or not at all; `config.json` comes last, so a folder that has one is complete."""
    # Weights that share memory would be refused; a clone of each is what a loader wants anyway.
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    storage.write_bytes(storage.join(folder, WEIGHTS), save(owned, metadata={"format": "pt"}))
    storage.write_bytes(storage.join(folder, CARD), card.encode())
    if metrics is not None:
        storage.write_json(storage.join(folder, METRICS), dict(metrics))
    storage.write_json(storage.join(folder, CONFIG), {"kind": kind, "rapport_version": __version__, **config})


def load_folder(folder: str | Path, kind: str) -> tuple[Path, dict[str, Any], dict[str, Tensor]]:
    """A local copy of the folder, its config, and its tensors on the CPU.

    Raises ModelError when it is absent, incomplete, or holds a model of another kind.
    """
    if not storage.exists(storage.join(folder, CONFIG)):
        state = f"has no {CONFIG}: its job was killed or is still running" if storage.exists(folder) else "does not exist"
        raise ModelError(f"model folder {folder} {state}")
    local = storage.local_copy(folder)
    config = storage.read_json(local / CONFIG)
    if config.get("kind") != kind:
        raise ModelError(f"{folder} holds a {config.get('kind')!r} model: wanted {kind!r}")
    try:
        return local, config, load_file(local / WEIGHTS)
    except Exception as error:  # safetensors has an exception class of its own, not exported everywhere
        raise ModelError(f"cannot read {folder}/{WEIGHTS}: {error}") from error


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], source: object) -> None:
    """Copy the tensors into the module.

    Raises ModelError that reports every key that is missing, superfluous or of another shape.
    """
    wanted = module.state_dict()
    report = [f"missing: {k}" for k in wanted if k not in tensors]
    report += [f"superfluous: {k}" for k in tensors if k not in wanted]
    report += [
        f"shape of {k}: found {tuple(tensors[k].shape)}, wanted {tuple(wanted[k].shape)}"
        for k in wanted
        if k in tensors and tensors[k].shape != wanted[k].shape
    ]
    if report:
        raise ModelError(f"the weights in {source} do not fit their config.json ({len(report)} keys):\n  " + "\n  ".join(report[:20]))
    module.load_state_dict(dict(tensors))
