"""Player: a network that learns, with its optimizer: the tokenizer, and its discriminator."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from .losses.generator import Objective
from .optimization.optimizer import set_learning_rate
from .optimization.sharding import load_network, load_optimizer, network_state, optimizer_state
from .run.checkpoint import State
from .run.finite_check import Guard


@dataclass(frozen=True)
class Player:
    """A network that learns, with its optimizer.

    Attributes:
        network: as it is, or sharded in place; without a wrapper around it.
        model: what the loop calls: the network, inside its data parallel wrapper if it has one.
        optimizer: as accelerate prepared it.
        lr: peak learning rate.
        prefix: before the names of its figures in the log.
    """

    network: nn.Module
    model: nn.Module
    optimizer: Any
    lr: float
    prefix: str = ""

    def set_rate(self, factor: float) -> None:
        """Set the learning rate to a share of its peak."""
        set_learning_rate(self.optimizer, self.lr * factor)

    def learn(self, objective: Objective, step: int, guard: Guard) -> dict[str, Tensor]:
        """Go down an objective's slope; where gradients accumulate, at the last micro-step only.

        An objective without a graph has no slope, as a discriminator's before its start: no weight
        moves, no moment, no step is counted.

        Returns:
            Figures for the log.

        Raises:
            FloatingPointError: the loss or its gradients are not finite.
        """
        guard.check_loss(objective, step)
        accelerator, learns = guard.accelerator, objective.loss.requires_grad
        if learns:
            accelerator.backward(objective.loss)
        figures = {f"{self.prefix}loss": objective.loss.detach(), **objective.terms}
        if accelerator.sync_gradients and not learns:
            figures[f"{self.prefix}gradient_norm"] = objective.loss.new_zeros(())
        elif accelerator.sync_gradients:
            accelerator.unscale_gradients(self.optimizer)
            norm = guard.clipped_norm(self.network, step)
            self.optimizer.step()
            self.optimizer.zero_grad()
            figures[f"{self.prefix}gradient_norm"] = norm
        return figures

    def state(self) -> tuple[State, State]:
        """Weights and optimizer, whole, on rank 0; all ranks must call this."""
        return network_state(self.network), optimizer_state(self.network, self._bare)

    def load(self, network: State, optimizer: State) -> None:
        """Go on from a state."""
        load_network(self.network, network)
        load_optimizer(self.network, self._bare, optimizer)

    @property
    def _bare(self) -> Optimizer:
        return self.optimizer.optimizer
