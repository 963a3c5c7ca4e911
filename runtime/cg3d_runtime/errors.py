"""The errors that cg3d-sdk raises on purpose.

Every one derives from `Cg3dError`, so robot code needs a single `except`. A message says what was
wrong, where, and what to do about it.
"""

from __future__ import annotations

import re


class Cg3dError(Exception):
    """Base of every error that cg3d-sdk raises on purpose."""


class InputError(Cg3dError):
    """Points, files or options that cannot be used as given."""


class BundleError(Cg3dError):
    """A model bundle that is missing, damaged, or of a format this version does not read."""


class EngineError(Cg3dError):
    """No engine could be opened, or an engine refused its input."""


class VocabularyError(Cg3dError):
    """A label or text that the bundle's text bank or text encoder does not know."""


class DependencyError(Cg3dError):
    """An optional package is not installed; the message holds the line that installs it."""


class TrainingError(Cg3dError):
    """A recipe, data set or checkpoint that training or export cannot work with."""


def first_line(error: BaseException, most: int = 200) -> str:
    """What a library's error says, short enough for a message of ours; its kind if it is silent."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:most]


def short(value: object) -> str:
    """An untrusted value for an error message, in one line, cut where it goes on for too long."""
    shown = re.sub(r"\s*\n\s*", " ", repr(value))
    return shown if len(shown) <= 80 else shown[:77] + "..."
