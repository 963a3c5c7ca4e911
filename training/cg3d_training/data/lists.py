"""Plain text lists: one entry a line, as benchmark sets publish their splits and class names."""

from __future__ import annotations

from pathlib import Path

from cg3d_runtime.errors import TrainingError

# The longest published list (ShapeNet-55, 42,000 lines) has 2.3 MB.
_LARGEST_BYTES = 64_000_000


def read_list(file: Path) -> tuple[str, ...]:
    """The lines of a list, without blanks around them; blank lines at its end are left out.

    Raises:
        TrainingError: the file is missing, not text, too large to be a list, empty, or has a blank
            line before its end.
    """
    if not file.is_file():
        raise TrainingError(f"{file} is missing; copy it from the set's own archive")
    size = file.stat().st_size
    if size > _LARGEST_BYTES:
        raise TrainingError(f"{file}: {size} bytes are too many for a list of names")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrainingError(f"{file} is not text (byte {error.start} is not UTF-8)") from error
    entries = tuple(line.strip() for line in text.rstrip().split("\n"))
    if entries == ("",):
        raise TrainingError(f"{file} is empty; copy it again from the set's own archive")
    if "" in entries:
        raise TrainingError(f"{file}, line {entries.index('') + 1}: is blank")
    return entries
