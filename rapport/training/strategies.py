"""Three ways in which workers share one model, behind one interface: what is learned is the same.

    ddp          each worker holds the whole model; gradients are averaged
    fsdp         each worker holds a shard of weights, gradients and optimiser state (torch's `fully_shard`)
    deepspeed    the same in three stages (ZeRO): optimiser state; and gradients; and weights

Torch and DeepSpeed are called directly rather than through Accelerate, whose FSDP wants a GPU. State leaves a strategy whole, by parameter
name, on the first worker, so that a checkpoint of one is continued by another.
"""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from rapport.core.errors import RapportError
from rapport.training.optim import adamw, learned_parameters, load_optimizer_tensors, optimizer_tensors
from rapport.training.sft_config import SftConfig
from rapport.training.weights import Weights, learned, load_learned

Batch = Mapping[str, Tensor]
_MEANS = ("exp_avg", "exp_avg_sq")
"""Names of AdamW's running means."""


class Strategy(ABC):
    """One worker's part of the model and its optimiser. Every worker calls every method, in the same order."""

    network: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, model: nn.Module, config: SftConfig, device: torch.device, bf16: bool) -> None:
        self.model, self.config, self.device, self.bf16 = model, config, device, bf16

    @abstractmethod
    def learn(self, batch: Batch, scale: float, *, last: bool) -> Any:
        """The model's output, with the gradient of `loss_sum * scale` added up; `last` when a step follows."""

    @abstractmethod
    def step(self) -> None:
        """Clip the gradient averaged over workers, change the weights, and clear it."""

    @abstractmethod
    def load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on with what `optimizer_state` gave."""

    def answer(self, batch: Batch) -> Any:
        """The model's output without gradients."""
        return self.network(**batch)

    def set_rate(self, factor: float) -> None:
        """Use a share of the peak learning rate from now on."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.optim.lr * factor

    def weights(self) -> Weights:
        """What is learned, whole and in float32, copied to the CPU of the first worker; nothing on the others."""
        return self._kept((name, self._whole(tensor)) for name, tensor in learned(self.model).items())

    def optimizer_state(self) -> Weights:
        """The optimiser's running means as `<parameter>/<quantity>`, where `weights` are."""
        return self._kept((name, self._whole(tensor)) for name, tensor in optimizer_tensors(self.optimizer).items())

    def _whole(self, tensor: Tensor) -> Tensor:
        return tensor

    def _kept(self, found: Iterator[tuple[str, Tensor]]) -> Weights:
        first = not dist.is_initialized() or dist.get_rank() == 0
        # One after the other: a whole copy of a large model fits no GPU.
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in found if first}

    def _clip(self) -> None:
        if self.config.optim.clip_norm:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.config.optim.clip_norm)


class Replicated(Strategy):
    """`ddp`, or a single worker."""

    def __init__(self, model: nn.Module, config: SftConfig, device: torch.device, bf16: bool) -> None:
        super().__init__(model.to(device), config, device, bf16)
        self.optimizer = adamw(model, config.optim)
        several = dist.is_initialized() and dist.get_world_size() > 1
        places = [device] if device.type == "cuda" else None
        self.network = DistributedDataParallel(model, device_ids=places, gradient_as_bucket_view=True) if several else model

    def learn(self, batch: Batch, scale: float, *, last: bool) -> Any:
        with self.network.no_sync() if isinstance(self.network, DistributedDataParallel) and not last else nullcontext():
            with self._autocast():
                output = self.network(**batch)
            (output.loss_sum * scale).backward()
        return output

    def answer(self, batch: Batch) -> Any:
        with self._autocast():
            return self.model(**batch)

    def step(self) -> None:
        self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        load_optimizer_tensors(self.optimizer, tensors)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


class FullySharded(Strategy):
    """`fsdp`: decoder layers are put together one at a time, what lies around them as a whole."""

    network: FSDPModule  # type: ignore[assignment]  # which is an nn.Module as well

    def __init__(self, model: nn.Module, config: SftConfig, device: torch.device, bf16: bool) -> None:
        super().__init__(model, config, device, bf16)
        _join_alone(device)
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bf16 else MixedPrecisionPolicy()
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        for layer in _decoder_layers(model):
            fully_shard(layer, mesh=mesh, mp_policy=policy)
        self.network = fully_shard(model, mesh=mesh, mp_policy=policy)
        model.to(device)  # buffers
        self.optimizer = adamw(model, config.optim)

    def learn(self, batch: Batch, scale: float, *, last: bool) -> Any:
        self.network.set_requires_gradient_sync(last)
        output = self.network(**batch)  # type: ignore[operator]
        (output.loss_sum * scale).backward()
        return output

    def step(self) -> None:
        self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        places = {name: tensor for name, tensor in learned(self.model).items() if isinstance(tensor, DTensor)}

        def shard(key: str, whole: Tensor) -> Tensor:
            place = places.get(key.rpartition("/")[0])
            if place is None or whole.shape != place.shape:  # a count of steps
                return whole
            # Each worker takes its part of what all of them have read: nothing is sent.
            return distribute_tensor(whole.to(self.device), place.device_mesh, place.placements, src_data_rank=None)

        load_optimizer_tensors(self.optimizer, {key: shard(key, whole) for key, whole in tensors.items()})

    def _whole(self, tensor: Tensor) -> Tensor:
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class Zero(Strategy):
    """`deepspeed`. Its engine owns clipping and clearing; its state is read and written by parameter, as it documents."""

    def __init__(self, model: nn.Module, config: SftConfig, device: torch.device, bf16: bool) -> None:
        super().__init__(model, config, device, bf16)
        _join_alone(device)
        if device.type == "cpu":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
        os.environ.setdefault("LOCAL_RANK", "0")
        import deepspeed

        # It would compile an operation for workers on one CPU: that takes a minute and a compiler, and a compilation that was killed
        # leaves a lock for which every later one waits forever. Without it Gloo does the same.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
        parameters = learned_parameters(model)
        buffers = [(module, name, b.to(device)) for module in model.modules() for name, b in module.named_buffers(recurse=False)]
        master = {name: p.detach().clone() for name, p in parameters} if bf16 else {}
        optimizer = adamw(model, config.optim)
        self.engine, _, _, _ = deepspeed.initialize(model=model, optimizer=optimizer, config=self._settings())
        self.network = self.engine
        self.optimizer = optimizer
        self.parameters = dict(parameters)
        self._begin_state()
        for name, whole in master.items():  # the engine made its float32 weights from rounded ones
            deepspeed.utils.safe_set_full_fp32_param(self.parameters[name], whole.to(device))
        for module, name, buffer in buffers:  # and rounded buffers too, of which rotary frequencies would shift positions
            module._buffers[name] = buffer

    def _begin_state(self) -> None:
        """Make the optimiser's state, which would be made in its first step.

        There DeepSpeed 0.19 links parameters to their state after the step of the first group of parameters, and loses the others.
        """
        zero = self.engine.optimizer
        for flat in zero.fp32_partitioned_groups_flat if self.config.zero_stage == 3 else zero.single_partition_of_fp32_groups:
            means = {name: torch.zeros_like(flat, requires_grad=False) for name in _MEANS}
            self.optimizer.state[flat] = {"step": torch.zeros((), device=flat.device), **means}
        if self.config.zero_stage < 3:
            self.engine.optimizer._lazy_init_hp_params_optimizer_state()

    def _settings(self) -> dict[str, Any]:
        on_gpu = self.device.type == "cuda"
        return {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": 1,
            "gradient_clipping": self.config.optim.clip_norm,
            "bf16": {"enabled": self.bf16},
            "zero_optimization": {"stage": self.config.zero_stage, "overlap_comm": on_gpu, "contiguous_gradients": True},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": 10**12,
        }

    def learn(self, batch: Batch, scale: float, *, last: bool) -> Any:
        self.engine.set_gradient_accumulation_boundary(last)
        output = self.engine(**batch)
        self.engine.backward(output.loss_sum * scale)
        return output

    def step(self) -> None:
        self.engine.step()

    def weights(self) -> Weights:
        from deepspeed.utils import safe_get_full_fp32_param

        buffers = ((name, b) for name, b in learned(self.model).items() if name not in self.parameters)
        whole = ((name, safe_get_full_fp32_param(p).view(_shape(p))) for name, p in self.parameters.items())
        return {**self._kept(whole), **self._kept(buffers)}

    def optimizer_state(self) -> Weights:
        from deepspeed.utils import safe_get_full_optimizer_state

        steps = next(iter(self.optimizer.state.values()))["step"]
        state = self._kept(
            (f"{name}/{quantity}", safe_get_full_optimizer_state(p, quantity).view(_shape(p)))
            for name, p in self.parameters.items()
            for quantity in _MEANS
        )
        return {**state, **self._kept((f"{name}/step", steps) for name in self.parameters)}

    def load_optimizer(self, tensors: Mapping[str, Tensor]) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state

        strange = sorted({key.rpartition("/")[0] for key in tensors} ^ set(self.parameters)) if tensors else []
        if strange:
            raise RapportError(f"the checkpoint has optimiser state of other parameters: {', '.join(strange[:5])} do not match")
        steps = next((tensor for key, tensor in tensors.items() if key.endswith("/step")), None)
        if steps is None:
            return
        for state in self.optimizer.state.values():
            state["step"].copy_(steps)
        for name, parameter in self.parameters.items():
            for quantity in _MEANS:
                safe_set_full_optimizer_state(parameter, tensors[f"{name}/{quantity}"].to(self.device), quantity)


KINDS: Mapping[str, type[Strategy]] = {"ddp": Replicated, "fsdp": FullySharded, "deepspeed": Zero}


def make_strategy(
    model: nn.Module, config: SftConfig, device: torch.device, bf16: bool, weights: Mapping[str, Tensor] | None = None
) -> Strategy:
    """The configured strategy around a whole model on the CPU, which is changed in place; `weights` are loaded into it first.

    Raises RapportError when nothing of the model trains.
    """
    if not learned_parameters(model):
        raise RapportError("no parameter of the model trains: name layers, embeddings or adapters that do")
    if weights is not None:
        load_learned(model, weights)
    return KINDS[config.strategy](model, config, device, bf16)


def _decoder_layers(model: nn.Module) -> list[nn.Module]:
    """The modules that `transformers` says must stay in one piece, which are the decoder layers."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    return [module for module in model.modules() if type(module).__name__ in names]


def _join_alone(device: torch.device) -> None:
    """Sharding wants a process group, also of one."""
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)


def _shape(parameter: nn.Parameter) -> torch.Size:
    """The shape of a whole parameter, of which ZeRO's third stage leaves an empty one here."""
    shape: torch.Size = getattr(parameter, "ds_shape", parameter.shape)
    return shape
