"""Optimizers: what turns gradients into steps, one recipe per kind.

    adam    Adam (arXiv 1412.6980); weight decay is added to the gradient
    adamw   AdamW (arXiv 1711.05101)
    muon    Muon (arXiv 2502.16982, its step scaled to AdamW's) for the matrices of linear layers,
            AdamW for everything else: Muon is defined for matrices only

Weight decay is for the weights of linear layers and convolutions. Gains, biases, codebooks, tables
and weights under spectral normalisation (which ignores their size) are left alone.
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

from ..section import UnitInterval

log = logging.getLogger(__name__)

Groups = list[dict[str, Any]]


class OptimizerConfig(ABC):
    """The options of one kind of optimizer."""

    weight_decay: float

    @abstractmethod
    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """The optimizer over groups of parameters.

        Args:
            groups: as `parameter_groups` gives them.
            lr: learning rate that the groups begin with.
        """


@dataclass(frozen=True)
class Adam(OptimizerConfig):
    """Adam.

    Args:
        betas: decay rates of the averages of gradients and of their squares.
        eps: added to the root of the second.
        weight_decay: L2 penalty on weights.
    """

    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """Adam over all groups."""
        return torch.optim.Adam(groups, lr=lr, betas=self.betas, eps=self.eps)


@dataclass(frozen=True)
class AdamW(OptimizerConfig):
    """AdamW.

    Args:
        betas: decay rates of the averages of gradients and of their squares.
        eps: added to the root of the second.
        weight_decay: share of the weights, times the learning rate, that every step takes away.
    """

    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """AdamW over all groups."""
        return torch.optim.AdamW(groups, lr=lr, betas=self.betas, eps=self.eps)


@dataclass(frozen=True)
class Muon(OptimizerConfig):
    """Muon for the matrices of linear layers, AdamW for everything else.

    Args:
        momentum: of Muon.
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: as in AdamW, for both.
    """

    momentum: UnitInterval = 0.95
    betas: tuple[UnitInterval, UnitInterval] = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def optimizer(self, groups: Groups, lr: float) -> Optimizer:
        """Muon and AdamW side by side; AdamW alone, and a warning, where there is no matrix."""
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
                "update torch, or take adamw"
            ) from error
        muon = TorchMuon(matrices, lr=lr, momentum=self.momentum, adjust_lr_fn="match_rms_adamw")
        return ChainedOptimizer([muon, *([adamw.optimizer(others, lr)] if others else [])])


class ChainedOptimizer(Optimizer):
    """Several optimizers over different parameters, seen from outside as one.

    Args:
        parts: the optimizers; their groups and states become this one's.
    """

    def __init__(self, parts: list[Optimizer]) -> None:
        self._parts = parts
        self._sizes = [len(part.param_groups) for part in parts]
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Let every part see its stretch of the groups, and the one state."""
        groups = iter(self.param_groups)
        for part, size in zip(self._parts, self._sizes, strict=True):
            part.param_groups = [next(groups) for _ in range(size)]
            part.state = self.state

    def step(self, closure: Any = None) -> Any:
        """One step of every part."""
        assert closure is None, "no optimizer here looks at the loss again"
        for part in self._parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over groups and states."""
        super().load_state_dict(state_dict)
        self._share()


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {"adam": Adam, "adamw": AdamW, "muon": Muon}


def build_optimizer(
    model: nn.Module,
    recipe: OptimizerConfig,
    lr: float,
    lr_factors: Mapping[str, float] | None = None,
) -> Optimizer:
    """The optimizer of every parameter that requires a gradient.

    Args:
        model: the network, outside of any distributed wrapper but after sharding.
        recipe: kind and options.
        lr: learning rate before factors.
        lr_factors: factors on the rate of the model's parts (its direct children); 1 where a part
            is not named.

    Raises:
        ValueError: all parameters are frozen, or a part does not exist.
    """
    groups = parameter_groups(model, recipe.weight_decay, lr_factors or {})
    optimizer = recipe.optimizer(groups, lr)
    set_learning_rate(optimizer, lr)
    return optimizer


def parameter_groups(
    model: nn.Module, weight_decay: float, lr_factors: Mapping[str, float]
) -> Groups:
    """Parameters that step alike: of one rate, decayed or not, matrices or not."""
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
    """Give every group its share of a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_factor"]
