"""Options that several commands have, and what they mean for torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cg3d_training.cli.resume import HERE

Command = Callable[..., Any]
Option = Callable[[Command], Command]

#: A folder that is there.
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

threads_option = click.option(
    "--threads", type=click.IntRange(1), help="CPU threads; default: all cores."
)

layout_option = click.option(
    "--dataset", required=True, type=click.Choice(["s3dis", "scannet", "worlds", "tabletop"]),
    help="Layout of PATH.",
)  # fmt: skip


def training_options(folder: str) -> Option:
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
        threads_option,
    ]  # fmt: skip

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def json_option(what: str) -> Option:
    """--json, as `as_json`.

    Args:
        what: it prints, for its help.
    """
    return click.option("--json", "as_json", is_flag=True, help=what)


def data_option(what: str = "Where sets are looked for by their names.") -> Option:
    """--data, the folder for `cg3d_training.paper.sets.find_set`.

    Args:
        what: it is, for its help.
    """
    return click.option(
        "--data", default="data", show_default=True, type=click.Path(path_type=Path), help=what
    )


def device_option(command: Command) -> Command:
    """--device, to be passed through `chosen_device`; a GPU if there is one."""
    return _device("auto", "auto: a GPU if there is one.")(command)


def cpu_device_option(command: Command) -> Command:
    """--device, to be passed through `chosen_device`; the CPU unless a GPU is asked for."""
    return _device("cpu", "auto: a GPU if there is one. Only a CPU repeats a run bit for bit.")(
        command
    )


def _device(default: str, text: str) -> Option:
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
