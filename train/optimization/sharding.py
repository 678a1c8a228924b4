"""Fully sharded training (FSDP2): every rank holds a slice of weights, gradients and optimizer.

torch's `fully_shard` is used directly; accelerate would ignore it on a CPU and refuses two sharded
networks. Residual blocks are gathered one at a time. Checkpoints always hold whole tensors, so a
run can resume with another number of processes, or with one.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from ...models.blocks.residual_block import ResidualBlock

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_ANY_OPTIMIZER = StateDictOptions(full_state_dict=True, strict=False)


def shard(network: nn.Module, device: torch.device, last_layer: nn.Module | None = None) -> None:
    """Shard a network's weights over all ranks, in place.

    Args:
        network: on its device already; from now on it must be called through `forward` only.
        device: device of the network.
        last_layer: a layer whose weights stay gathered between forward and backward pass, because
            the adaptive adversarial weight needs gradients with respect to them.

    Raises:
        ValueError: there is no process group.
    """
    if not dist.is_initialized():
        raise ValueError(
            "train.parallelism=fsdp2 needs several processes: start with torchrun or accelerate "
            "launch, or set train.parallelism=ddp"
        )
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            fully_shard(module, mesh=mesh)
    if last_layer is not None:
        fully_shard(last_layer, mesh=mesh, reshard_after_forward=False)
    fully_shard(network, mesh=mesh)


def whole(tensor: Tensor) -> Tensor:
    """Gather a sharded tensor; all ranks must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def network_state(network: nn.Module) -> dict[str, Any]:
    """Return whole weights and buffers by plain names, on the CPU; empty on ranks other than 0."""
    return get_model_state_dict(network, options=_WHOLE)


def optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the optimizer's state by the names of its weights; whole, as `network_state`.

    Empty where no step was taken: torch would take one to create the state.
    """
    if not optimizer.state:
        return {}
    return get_optimizer_state_dict(network, optimizer, options=_WHOLE)


def load_network(network: nn.Module, state: Mapping[str, Any]) -> None:
    """Load a state of `network_state` strictly; every rank has read it."""
    set_model_state_dict(network, dict(state), options=StateDictOptions(full_state_dict=True))


def load_optimizer(
    network: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Load a state of `optimizer_state`; weights that never had a gradient have no state in it.

    The optimizer keeps its own options: a run may resume with others than those in the state.
    """
    if state:
        names = {parameter: name for name, parameter in network.named_parameters()}
        groups = [
            {**group, "params": [names[parameter] for parameter in group["params"]]}
            for group in optimizer.param_groups
        ]
        own = {"state": state["state"], "param_groups": groups}
        set_optimizer_state_dict(network, optimizer, own, options=_ANY_OPTIMIZER)
    # For weights without a state torch creates one, of one step with zero moments.
    for name, parameter in network.named_parameters():
        if name not in state.get("state", {}):
            optimizer.state.pop(parameter, None)
