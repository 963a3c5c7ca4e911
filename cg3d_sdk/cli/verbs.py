"""A group of verbs for click: each lies in a module of its own, imported when it is asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from cg3d_runtime.errors import Cg3dError

Result = TypeVar("Result")


class LazyVerbs(click.Group):
    """Verbs by name; a `Cg3dError` of theirs becomes one line and exit status 1.

    Args:
        verbs: verb -> the module that holds it and the name of its command there.
    """

    def __init__(self, *args: Any, verbs: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._verbs = dict(verbs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order that they were given."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A verb's command, or None for what is no verb."""
        if cmd_name not in self._verbs:
            return None
        module, command = self._verbs[cmd_name]
        found: click.Command = getattr(importlib.import_module(module), command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that is meant; of one that is none, the error names the nearest."""
        near = difflib.get_close_matches(args[0], self._verbs, 1) if args else []
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not near:
                raise
            told = f"{error.message} Did you mean {near[0]!r}?"
            raise click.UsageError(told, ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        return or_one_line(lambda: super(LazyVerbs, self).invoke(ctx))


def or_one_line(work: Callable[[], Result]) -> Result:
    """What a command's work gives.

    Raises:
        click.ClickException: in place of a `Cg3dError`, which becomes one line and exit status 1.
    """
    try:
        return work()
    except Cg3dError as error:
        said = str(error)
    # Not inside of `except`: the error holds progress bars open, on the line it is shown in.
    raise click.ClickException(said)
