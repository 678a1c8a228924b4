"""Optimizers, each built from a config of its kind.

    adam    Adam (arXiv 1412.6980); weight decay is added to the gradient
    adamw   AdamW (arXiv 1711.05101)
    muon    Muon (arXiv 2502.16982, its step scaled to AdamW's) for the matrices of linear layers,
            AdamW for everything else: Muon is defined for matrices only

Weight decay applies to the weights of linear layers and convolutions, not to gains, biases,
codebooks, tables and weights under spectral normalization (which ignores their scale).
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import Optimizer

from ...config import UnitInterval

log = logging.getLogger(__name__)

Groups = list[dict[str, Any]]


class OptimizerConfig(ABC):
    """Options of one kind of optimizer."""

    betas: tuple[float, float]
    weight_decay: float

    @abstractmethod
    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """Build the optimizer over groups of parameters.

        Args:
            groups: from `parameter_groups`.
            lr: initial learning rate of all groups.
        """


@dataclass(frozen=True)
class Adam(OptimizerConfig):
    """Adam, with weight decay as an L2 penalty.

    Args:
        betas: decay rates of the averages of gradients and of squared gradients.
        eps: added to the root of the second average.
        weight_decay: factor of the L2 penalty on weights.
    """

    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """Build Adam over all groups."""
        return torch.optim.Adam(groups, lr=lr, betas=self.betas, eps=self.eps)


@dataclass(frozen=True)
class AdamW(OptimizerConfig):
    """AdamW, with decoupled weight decay.

    Args:
        betas: decay rates of the averages of gradients and of squared gradients.
        eps: added to the root of the second average.
        weight_decay: share of the weights that every step subtracts, times the learning rate.
    """

    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """Build AdamW over all groups."""
        return torch.optim.AdamW(groups, lr=lr, betas=self.betas, eps=self.eps)


@dataclass(frozen=True)
class Muon(OptimizerConfig):
    """Muon for the matrices of linear layers, AdamW for everything else.

    Args:
        momentum: momentum of Muon.
        betas: betas of AdamW.
        eps: eps of AdamW.
        weight_decay: weight decay of both, as in AdamW.
    """

    momentum: UnitInterval = 0.95
    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """Build Muon and AdamW side by side; AdamW alone, with a warning, without matrices."""
        matrices = [group for group in groups if group["matrices"]]
        others = [group for group in groups if not group["matrices"]]
        adamw = AdamW(self.betas, self.eps)
        if not matrices:
            log.warning("optimizer kind muon found no linear layers: AdamW trains all weights")
            return adamw.optimizer(groups, lr)
        try:
            from torch.optim import Muon as TorchMuon
        except ImportError as error:
            raise ValueError(
                f"optimizer kind muon needs torch >= 2.9, this is {torch.__version__}; "
                "update torch, or use adamw"
            ) from error
        muon = TorchMuon(matrices, lr=lr, momentum=self.momentum, adjust_lr_fn="match_rms_adamw")
        return ChainedOptimizer([muon, *([adamw.optimizer(others, lr)] if others else [])])


class ChainedOptimizer(Optimizer):
    """Several optimizers over different parameters, which act as one.

    Args:
        parts: the optimizers; their groups and states are merged into this one's.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        self._parts = parts
        self._sizes = [len(part.param_groups) for part in parts]
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Give every part its slice of the groups, and the shared state."""
        groups = iter(self.param_groups)
        for part, size in zip(self._parts, self._sizes, strict=True):
            part.param_groups = [next(groups) for _ in range(size)]
            part.state = self.state

    def step(self, closure: Any = None) -> Any:
        """Take one step of every part."""
        assert closure is None, "no optimizer here evaluates the loss again"
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore groups and states."""
        super().load_state_dict(state_dict)
        self._share()


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {"adam": Adam, "adamw": AdamW, "muon": Muon}


def build_optimizer(
    model: nn.Module,
    config: OptimizerConfig,
    lr: float,
    lr_factors: Mapping[str, float] | None = None,
) -> Optimizer:
    """Build the optimizer of every parameter that requires a gradient.

    Args:
        model: the network, outside of any distributed wrapper but after sharding.
        config: kind and options.
        lr: learning rate before factors.
        lr_factors: factors on the learning rates of the model's parts (its direct children); 1 for
            parts that are not named.

    Raises:
        ValueError: all parameters are frozen, or a part does not exist.
    """
    groups = parameter_groups(model, config.weight_decay, lr_factors or {})
    optimizer = config.optimizer(groups, lr)
    set_learning_rate(optimizer, lr)
    return optimizer


def parameter_groups(
    model: nn.Module, weight_decay: float, lr_factors: Mapping[str, float]
) -> Groups:
    """Group parameters by learning rate, by weight decay or none, and by matrix or not."""
    parts = dict(model.named_children())
    if unknown := sorted(lr_factors.keys() - parts.keys()):
        raise ValueError(
            f"lr_factors names {unknown[0]}, but the model's parts are {', '.join(parts)}"
        )
    groups: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    seen: set[nn.Parameter] = set()
    for path, module in model.named_modules():
        factor = lr_factors.get(path.split(".")[0], 1.0)
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            decayed = name == "weight" and isinstance(module, nn.Linear | _ConvNd)
            matrix = decayed and isinstance(module, nn.Linear)
            groups.setdefault((factor, decayed, matrix), []).append(parameter)
    if not groups:
        raise ValueError("nothing to train: every parameter of the model is frozen")
    return [
        {
            "params": parameters,
            "lr_factor": factor,
            "weight_decay": weight_decay if decayed else 0.0,
            "matrices": matrix,
        }
        for (factor, decayed, matrix), parameters in groups.items()
    ]


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of every group, times the factor of its part."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
