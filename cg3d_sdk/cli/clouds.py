"""What the verbs that read clouds share: files and recordings in, clouds in a named frame out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from cg3d_runtime.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Source:
    """How files are read: the options that `cloud_options` adds.

    Attributes:
        topic: of a bag; None for its only topic of clouds.
        frame: which cloud of a bag, counted from 0; None for all of them.
        axes: the frame that clouds come in; "optical" is turned to x forward, y left, z up.
        transform: a text file with a 4x4 matrix that is applied then.
    """

    topic: str | None = None
    frame: int | None = None
    axes: Literal["body", "optical"] = "body"
    transform: Path | None = None

    @cached_property
    def matrix(self) -> NDArray[np.float64] | None:
        """(4, 4) of the transform's file, or None.

        Raises:
            InputError: it cannot be read as one.
        """
        return None if self.transform is None else _matrix(self.transform)


@dataclass(frozen=True, eq=False)
class NamedCloud:
    """A cloud to work on.

    Attributes:
        name: the file, in a bag with the number of the cloud.
        points: (n, 3) float32 or float64, turned and moved as the `Source` says.
        faces: of the mesh that was sampled, else 0.
        facts: of clouds in bags: frame, stamp (nanoseconds) and frame_id, for JSON.
    """

    name: str
    points: NDArray[np.floating]
    faces: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


def cloud_options(command: _Command) -> _Command:
    """Add --topic, --frame, --axes and --transform."""
    options = (
        click.option("--topic", metavar="NAME", help="Topic of a bag where several hold clouds."),
        click.option(
            "--frame", type=click.IntRange(min=0), metavar="N",
            help="Which cloud of a bag, counted from 0.",
        ),
        click.option(
            "--axes", default="body", show_default=True, type=click.Choice(["body", "optical"]),
            help="Axes of the clouds: body (as --up says), or optical, a camera's x right, y down, "
            "z forward.",
        ),
        click.option(
            "--transform", type=click.Path(path_type=Path), metavar="FILE",
            help="A 4x4 matrix as text, applied to the points after --axes.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def read_clouds(path: Path, source: Source) -> Iterator[NamedCloud]:
    """The cloud of a file, or those of a recording one by one.

    Raises:
        InputError: a file, bag or matrix that cannot be read, or a bag without such a cloud.
        DependencyError: a package for this format is not installed.
    """
    from cg3d_runtime.files import read_points
    from cg3d_runtime.sensors import cloud_topics, is_bag, read_frames

    if not is_bag(path):
        if source.topic is not None or source.frame is not None:
            raise InputError(f"{path}: --topic and --frame choose in bags; this is a file")
        cloud = read_points(path)
        yield NamedCloud(str(path), _moved(cloud.points, source), cloud.faces)
        return
    first = source.frame or 0
    frames = islice(
        read_frames(path, source.topic), first, None if source.frame is None else first + 1
    )
    number = first - 1
    for number, frame in enumerate(frames, first):
        facts = {"frame": number, "stamp": frame.stamp, "frame_id": frame.frame_id}
        points = _moved(frame.points, source)
        yield NamedCloud(f"{path}[{number}]", points, facts=facts)
    if number < first:
        here = {topic.name: topic.messages for topic in cloud_topics(path)}
        held = here[source.topic] if source.topic else next(iter(here.values()))
        raise InputError(
            f"{path}: the topic holds no cloud with the number {first}; it has {held}, counted "
            "from 0"
        )


def _moved(points: NDArray[np.floating], source: Source) -> NDArray[np.floating]:
    from cg3d_runtime.sensors import to_body, transform_points

    points = to_body(points, source.axes)
    return points if source.matrix is None else transform_points(points, source.matrix)


def _matrix(path: Path) -> NDArray[np.float64]:
    import numpy as np

    from cg3d_runtime.sensors import as_transform

    try:
        text = path.read_text(encoding="utf-8-sig").replace(",", " ")
        rows = [list(map(float, row.split())) for row in text.splitlines() if row.strip()]
        return as_transform(np.array(rows))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read as a 4x4 matrix ({reason})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
