"""Which meshes there are and what they are called: a list beside them, or their file names."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cg3d_runtime.errors import TrainingError
from cg3d_runtime.points.normalize import Up
from cg3d_training.data.meshes import SUFFIXES

_OURS = {"file", "name", "caption", "captions", "license", "licence", "creator", "up"}


@dataclass(frozen=True)
class MeshItem:
    """A mesh file and what is known of it.

    Attributes:
        file: its path below the folder of meshes, with "/".
        name: what it is, e.g. "office chair".
        captions: given descriptions, may be empty.
        licence: as the list says, or "".
        creator: as the list says, or "".
        up: the axis that points up in the file.
        details: what else the list says of it.
    """

    file: str
    name: str
    captions: tuple[str, ...] = ()
    licence: str = ""
    creator: str = ""
    up: Up = "y"
    details: Mapping[str, str] = field(default_factory=dict)


def list_meshes(
    folder: Path, names: Path | None = None, up: Up = "y", suffixes: Sequence[str] = SUFFIXES
) -> list[MeshItem]:
    """The meshes of a folder, sorted by file.

    Args:
        folder: is searched with everything below.
        names: a .csv file with a header, or a .json list of objects; columns or keys `file` (below
            the folder) and `name`, and where there are any `caption` (JSON also: `captions`, a
            list), `license`, `creator`, `up`, and others, which are kept as details. Only what it
            lists is taken. Without it, names come from the file names.
        up: the axis that points up where the list does not say.
        suffixes: files to look for where there is no list.

    Raises:
        TrainingError: the list cannot be read, lists a file twice or outside the folder, or there
            is no mesh at all.
    """
    if names is None:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
        items = [
            MeshItem(p.relative_to(folder).as_posix(), name_of_file(p.name), up=up)
            for p in found
            if p.is_file()
        ]
    else:
        rows = _rows(names)
        items = [_item(row, f"{names.name}, entry {i}", up) for i, row in enumerate(rows, start=1)]
    files = [item.file for item in items]
    if len(set(files)) != len(files):
        twice = next(f for f in files if files.count(f) > 1)
        raise TrainingError(f"{names} lists {twice} twice")
    if not items:
        raise TrainingError(
            f"no mesh in {names or folder}: files of {', '.join(suffixes)} are looked for"
        )
    return sorted(items, key=lambda item: item.file)


def name_of_file(file: str) -> str:
    """A name out of a file name.

    >>> name_of_file("OfficeChair_02.obj")
    'office chair'
    """
    stem = PurePosixPath(file).name.split(".")[0]
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem)
    words = " ".join(re.sub(r"[\W_]+", " ", words).split()).lower()
    return re.sub(r"( ?\d+)+$", "", words) or words or stem


def _rows(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            return list(csv.DictReader(io.StringIO(text)))
        if path.suffix.lower() == ".json":
            rows = json.loads(text)
            if isinstance(rows, list):
                return rows
            raise ValueError("it is no list")
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise TrainingError(f"{path} cannot be read as a list of meshes: {error}") from error
    raise TrainingError(f"{path}: a list of meshes is a .csv or a .json file")


def _item(row: Any, where: str, up: Up) -> MeshItem:
    if not isinstance(row, dict):
        raise TrainingError(f"{where} is not an object with keys")
    text = {str(k): v.strip() for k, v in row.items() if isinstance(v, str)}
    file, name = text.get("file", ""), text.get("name", "")
    captions = row.get("captions") or ([text["caption"]] if text.get("caption") else [])
    if not isinstance(captions, list) or not all(isinstance(c, str) and c for c in captions):
        raise TrainingError(f"{where}: its captions are no list of texts")
    if not file or not (name or captions):
        raise TrainingError(f"{where} needs a file, and a name or a caption")
    path = PurePosixPath(file.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise TrainingError(f"{where}: {file!r} is outside the folder of meshes")
    axis = text.get("up", "").lower() or up
    if axis not in ("y", "z"):
        raise TrainingError(f"{where}: up is {axis!r}; use y or z")
    return MeshItem(
        file=path.as_posix(),
        name=name or name_of_file(file),
        captions=tuple(captions),
        licence=text.get("license") or text.get("licence") or "",
        creator=text.get("creator", ""),
        up=axis,  # type: ignore[arg-type]  # checked above
        details={k: v for k, v in sorted(text.items()) if k not in _OURS and v},
    )
