"""Fully sharded training (FSDP2): every rank holds a slice of weights, gradients and optimizer.

torch's `fully_shard` is used directly; accelerate would ignore it on a CPU and refuses two sharded
networks. Residual blocks are gathered one at a time. Checkpoints always hold whole tensors, so a
run can resume with another number of processes, or with one.

Quantizers whose forward pass moves their weights (k-means, revival of dead codes) write into a
gathered copy, which is dropped after the pass; `_shard_moving` carries their moves to the slices.
"""

import warnings
from collections.abc import Iterator, Mapping
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
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ...models.blocks.residual_block import ResidualBlock
from ...tokenizers.bottlenecks.bottleneck import Quantizer

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
    # torch warns at every step of writing into outputs in place, which nothing here does.
    warnings.filterwarnings("ignore", r"FSDP2-wrapped module \(\w+\) returned a view", UserWarning)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            fully_shard(module, mesh=mesh)
    for quantizer in moving_quantizers(network):
        _shard_moving(quantizer, mesh)
    if last_layer is not None:
        fully_shard(last_layer, mesh=mesh, reshard_after_forward=False)
    fully_shard(network, mesh=mesh)


def moving_quantizers(network: nn.Module) -> Iterator[Quantizer]:
    """Yield the innermost quantizers with weights that a forward pass in train mode may change."""
    for module in network.modules():
        if not isinstance(module, Quantizer) or not module.stateful:
            continue
        is_innermost = not any(isinstance(part, Quantizer) for part in list(module.modules())[1:])
        if is_innermost and any(True for _ in module.parameters()):
            yield module


def _shard_moving(quantizer: Quantizer, mesh: DeviceMesh) -> None:
    """Shard a quantizer such that its slices follow what its forward pass writes into its weights.

    Hooks run in the order of their registration: the weights are copied before FSDP2's own hook
    drops the gathered ones, and every rank writes its slices of the copy after it. The backward
    pass gathers the moved weights, and the optimizer updates them, as with whole copies.
    """
    moved: dict[str, Tensor] = {}

    def copy_gathered(module: nn.Module, *_: Any) -> None:
        if module.training:
            moved.update({name: w.detach().clone() for name, w in module.named_parameters()})

    @torch.no_grad()
    def write_slices(module: nn.Module, *_: Any) -> None:
        for name, weight in module.named_parameters() if moved else ():
            assert isinstance(weight, DTensor), "sharded again after the forward pass"
            # All ranks made the same move, so nothing is sent.
            placed = distribute_tensor(
                moved[name], weight.device_mesh, weight.placements, src_data_rank=None
            )
            weight.copy_(placed)
        moved.clear()

    quantizer.register_forward_hook(copy_gathered)
    fully_shard(quantizer, mesh=mesh, reshard_after_forward=True)
    quantizer.register_forward_hook(write_slices)


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
