"""Weights in training: the optimiser that moves them, and their running mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from cg3d_training.checkpoint import cpu_state
from cg3d_training.config import OptimiserConfig, Precision
from cg3d_training.runs.distributed import ALONE, World, sum_gradients
from cg3d_training.runs.folder import tensors_below
from cg3d_training.runs.optimiser import make_optimiser
from cg3d_training.runs.precision import loss_scaler


class Weights:
    """A network that learns.

    Args:
        network: on the device to train on.
        config: of the optimiser.
        precision: of the forward pass; fp16 comes with a scaled loss.
        world: the processes that train together.
        beside: parameters that learn with the network's, without weight decay, and whose gradient
            every process has whole (the temperature).

    Attributes:
        steps: taken so far.
        average: the running mean of the network's state dict, on the device.
        scaler: of the loss.
    """

    def __init__(
        self,
        network: nn.Module,
        config: OptimiserConfig,
        precision: Precision = "fp32",
        world: World = ALONE,
        beside: Iterable[Parameter] = (),
    ) -> None:
        self._network, self._config, self._world = network, config, world
        self._beside = list(beside)
        decay = [p for p in network.parameters() if p.ndim > 1]
        rest = [p for p in network.parameters() if p.ndim <= 1] + self._beside
        self._parameters = [*decay, *rest]
        self.device = self._parameters[0].device
        self._optimiser = make_optimiser(config, decay, rest)
        self.scaler = loss_scaler(precision, self.device.type)
        self.steps = 0
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def step(self, loss: Tensor, lr: float, bound: Callable[[], None]) -> None:
        """One update of the weights and of their running mean.

        Args:
            loss: of the whole batch.
            lr: the learning rate.
            bound: brings what has bounds back within them, before the mean follows.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = lr * group.get("factor", 1.0)
        self._optimiser.zero_grad()
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        sum_gradients(self._network.parameters(), self._world, self._beside)
        self.scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm)
        self.scaler.step(self._optimiser)
        self.scaler.update()
        bound()
        self.steps += 1
        # A young mean follows faster, so that it never remembers the random start.
        decay = min(self._config.ema, (1 + self.steps) / (10 + self.steps))
        for key, value in self._network.state_dict().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)
            else:
                self.average[key].copy_(value)

    def state(self, name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What `restore` takes: plain values, and tensors on the CPU.

        Args:
            name: of the network, before the names of its weights.
        """
        tensors = {f"{name}.{k}": v for k, v in cpu_state(self._network).items()}
        tensors |= {f"average.{k}": v for k, v in cpu_state(self.average).items()}
        for i, parameter in enumerate(self._parameters):
            state = self._optimiser.state[parameter]
            held = {k: v for k, v in state.items() if v is not None}  # SGD without momentum
            tensors |= {f"optimiser.{i}.{k}": v for k, v in cpu_state(held).items()}
        return {"steps": self.steps, "scaler": self.scaler.state_dict()}, tensors

    def restore(self, name: str, about: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        """Go on where `state` was taken."""
        self.steps = about["steps"]
        if scaler := about.get("scaler"):
            self.scaler.load_state_dict(scaler)
        self._network.load_state_dict(tensors_below(tensors, f"{name}."))
        average = tensors_below(tensors, "average.")
        self.average = {k: v.to(self.device) for k, v in average.items()}
        for i, parameter in enumerate(self._parameters):
            # The count of steps stays on the CPU, where torch keeps it.
            self._optimiser.state[parameter] = {
                k: v if k == "step" else v.to(self.device)
                for k, v in tensors_below(tensors, f"optimiser.{i}.").items()
            }
