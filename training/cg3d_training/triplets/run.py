"""A run on triplets in progress: the encoder's, and with it the prompts and their optimiser."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cg3d_training.checkpoint import cpu_state
from cg3d_training.config import OptimiserConfig
from cg3d_training.encoders import EncoderSpec, PointEncoder
from cg3d_training.runs.distributed import ALONE, World, same_start, sum_gradients
from cg3d_training.runs.folder import tensors_below
from cg3d_training.runs.optimiser import learning_rate
from cg3d_training.runs.run import Run
from cg3d_training.teachers import DeepPrompts
from cg3d_training.temperature import Temperature
from cg3d_training.triplets.config import TripletConfig


class TripletRun(Run[TripletConfig]):
    """The moving parts of a run on triplets.

    Args:
        prompts: on the device to train on; None where only the encoder is trained.

    The others are those of `Run`. Both schedules count all steps, so that both end with the run.

    Attributes:
        iteration: steps taken since the start, of the encoder and of the prompts.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        encoder: PointEncoder,
        prompts: DeepPrompts | None,
        config: TripletConfig,
        output: Path,
        steps_per_epoch: int,
        world: World = ALONE,
        log: Sequence[str] = (),
        temperature: Temperature | None = None,
    ) -> None:
        super().__init__(
            spec, encoder, config, output, steps_per_epoch, world, log, temperature=temperature
        )
        self.prompts = prompts
        self.iteration = 0
        its = config.prompts
        self._prompt_schedule = OptimiserConfig(
            epochs=config.optimiser.epochs, lr=its.lr, min_lr=its.min_lr
        )
        self._sgd: torch.optim.SGD | None = None
        if prompts is not None:
            same_start(prompts, world)
            self._sgd = torch.optim.SGD(
                prompts.parameters(), its.lr, its.momentum, weight_decay=its.weight_decay
            )

    def lr(self) -> float:
        """The encoder's learning rate at the next step."""
        return learning_rate(self.config.optimiser, self.iteration / self.steps_per_epoch)

    def prompt_lr(self) -> float:
        """The prompts' learning rate at the next step."""
        return learning_rate(self._prompt_schedule, self.iteration / self.steps_per_epoch)

    def is_prompts_turn(self) -> bool:
        """Encoder and prompts take turns, the encoder first, over the ends of epochs too."""
        return self.is_prompts_turn_at(self.iteration)

    def is_prompts_turn_at(self, iteration: int) -> bool:
        """Whose turn it is after so many steps since the start."""
        return self.prompts is not None and iteration % 2 == 1

    def prompt_step(self, loss: Tensor) -> None:
        """One update of the prompts."""
        assert self.prompts is not None
        assert self._sgd is not None
        for group in self._sgd.param_groups:
            group["lr"] = self.prompt_lr()
        self._sgd.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(self.prompts.parameters(), self.world)
        torch.nn.utils.clip_grad_norm_(self.prompts.parameters(), self.config.optimiser.clip_norm)
        self._sgd.step()

    def further_state(self) -> dict[str, Tensor]:
        """The prompts and their momentum."""
        if self.prompts is None or self._sgd is None:
            return {}
        tensors = {f"prompts.{k}": v for k, v in cpu_state(self.prompts).items()}
        for name, parameter in self.prompts.named_parameters():
            momentum = self._sgd.state[parameter].get("momentum_buffer")
            if momentum is not None:  # there is none before the first step
                tensors[f"momentum.{name}"] = momentum.detach().cpu().clone()
        return tensors

    def restore_further(self, tensors: dict[str, Tensor]) -> None:
        """Take up the prompts and their momentum."""
        if self.prompts is None or self._sgd is None:
            return
        self.prompts.load_state_dict(tensors_below(tensors, "prompts."))
        momenta = tensors_below(tensors, "momentum.")
        for name, parameter in self.prompts.named_parameters():
            if name in momenta:
                self._sgd.state[parameter]["momentum_buffer"] = momenta[name].to(parameter.device)


def prompt_record(config: TripletConfig) -> dict[str, str]:
    """What a file of prompts says of itself: the teacher that they were learnt for."""
    return {k: str(v) for k, v in dataclasses.asdict(config.teacher).items() if v is not None}
