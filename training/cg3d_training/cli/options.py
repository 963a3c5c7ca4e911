"""Options that every command which trains has, and what they mean for torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cg3d_training.cli.resume import HERE

Command = Callable[..., Any]


def training_options(folder: str) -> Callable[[Command], Command]:
    """--config, --output, --set, --resume, --logger and --threads.

    Args:
        folder: what the output folder will hold, for its help.
    """
    # torchrun takes what could be short for an option of its own, such as --log, for that.
    options = [
        click.option(
            "--config", metavar="RECIPE",
            help="A YAML file or a recipe's name (`cg3d-train recipes` lists them); with --resume "
            "it may be left out.",
        ),
        click.option(
            "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
            help=folder,
        ),
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe."
        ),
        click.option(
            "--resume", is_flag=False, flag_value=HERE, metavar="[latest|FOLDER]",
            help="Go on where a run left off: the one in -o; `latest`: the newest unfinished one "
            "in or below -o; FOLDER: that one.",
        ),
        click.option(
            "--logger", "log", multiple=True, type=click.Choice(["tensorboard", "wandb"]),
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
    """--device, to be passed through `chosen_device`; a GPU if there is one."""
    return _device("auto", "auto: a GPU if there is one.")(command)


def cpu_device_option(command: Command) -> Command:
    """--device, to be passed through `chosen_device`; the CPU unless a GPU is asked for."""
    return _device("cpu", "auto: a GPU if there is one. Only a CPU repeats a run bit for bit.")(
        command
    )


def _device(default: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        "--device", default=default, show_default=True, help=text,
        type=click.Choice(["auto", "cpu", "cuda"]),
    )  # fmt: skip


def say(text: str) -> None:
    """Print a line; of several processes the first one does."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(text)


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
