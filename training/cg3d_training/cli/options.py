"""Options that every command which trains has, and what they mean for torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


def training_options(folder: str) -> Callable[[Command], Command]:
    """--config, --output, --set, --resume, --log and --threads.

    Args:
        folder: what the output folder will hold, for its help.
    """
    options = [
        click.option(
            "--config", required=True, metavar="RECIPE", help="A YAML file or a recipe's name."
        ),
        click.option(
            "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path),
            help=folder,
        ),
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe."
        ),
        click.option("--resume", is_flag=True, help="Go on where the folder's state left off."),
        click.option(
            "--log", multiple=True, type=click.Choice(["tensorboard", "wandb"]),
            help="Log there too; log.jsonl is always written. May be given twice.",
        ),
        click.option(
            "--threads", type=click.IntRange(1), help="CPU threads; default: all cores."
        ),
    ]  # fmt: skip

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def device_option(command: Command) -> Command:
    """--device, to be passed through `chosen_device`."""
    return click.option(
        "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]),
        help="auto: a GPU if there is one.",
    )(command)  # fmt: skip


def use_threads(threads: int | None) -> None:
    """Let torch use so many CPU threads, or all cores."""
    import torch

    if threads:
        torch.set_num_threads(threads)


def chosen_device(device: str) -> str:
    """The device that --device stands for: "cpu" or "cuda".

    Raises:
        TrainingError: a GPU was asked for, and torch sees none.
    """
    import torch

    from cg3d_runtime.errors import TrainingError

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("torch sees no GPU here; use --device cpu")
    return device
