"""Two workers on this computer, without Ray: python -m tests.training.two_workers RANK FOLDER PORT. See test_strategies.py."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from rapport.training.checkpoint import load_checkpoint
from rapport.training.report import Report
from rapport.training.sft import LanguageProgress, train_language_model
from tests.training.toy_language import Speller, toy_config, toy_data

KINDS: dict[str, dict[str, Any]] = {
    "ddp": {"strategy": "ddp"},
    "fsdp": {"strategy": "fsdp"},
    "zero1": {"strategy": "deepspeed", "zero_stage": 1},
    "zero2": {"strategy": "deepspeed", "zero_stage": 2},
    "zero3": {"strategy": "deepspeed", "zero_stage": 3},
}
COMMON: dict[str, Any] = {"save_every_steps": 2, "batches_per_step": 3, "batch_tokens": 96}
STOP = 2
"""The step at which one strategy hands over to another."""


def train(kind: str, folder: Path, rank: int, start: Path | None = None, **changes) -> None:
    """One training; the first worker writes its history and last weights, and its checkpoint at STOP."""
    model = Speller()
    model.base.model.layers[1].requires_grad_(False)

    def report(said: Report) -> None:
        if rank == 0 and said.checkpoint is not None and said.step == STOP:
            said.checkpoint.save(folder / kind)

    result = train_language_model(
        model,
        toy_data(64, 6),
        toy_config(**COMMON, **KINDS[kind], **changes),
        seed=1,
        report=report,
        checkpoint=load_checkpoint(start, LanguageProgress) if start else None,
    )
    if rank == 0:
        name = f"{start.name}-to-{kind}" if start else kind
        sums = {key: [float(tensor.double().sum()), float(tensor.double().abs().sum())] for key, tensor in result.last.items()}
        (folder / f"{name}.json").write_text(json.dumps({"history": result.history, "weights": sums}))
    else:
        assert not result.last


def main() -> None:
    rank, folder, port = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    for kind in KINDS:
        train(kind, folder, rank)
    dist.barrier()
    order = list(KINDS)
    for before, after in zip(order, order[1:] + order[:1], strict=True):
        train(after, folder, rank, start=folder / before)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
