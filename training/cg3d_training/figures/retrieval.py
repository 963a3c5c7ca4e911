"""Figure 4: words or pictures, and the shapes nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cg3d_runtime.images import read_image
from cg3d_sdk.page.cards import PageEntry, write_page
from cg3d_sdk.recognizer import Recognizer
from cg3d_sdk.results import Ranked
from cg3d_training.data.labelled import LabelledClouds
from cg3d_training.figures.sheet import write_sheet
from cg3d_training.figures.splat import points_picture, shaded

_BATCH, _TILE = 16, 150


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for one text or picture.

    Attributes:
        text: as it was asked, or the name of the picture's file.
        rows: of the set, the nearest first.
        cosines: theirs.
    """

    text: str
    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]


def find_shapes(
    recognizer: Recognizer,
    clouds: LabelledClouds,
    texts: Sequence[str],
    top: int,
    pictures: Sequence[Path] = (),
) -> list[Found]:
    """The clouds of highest cosine with each text and picture; equal ones in the order of the set.

    Args:
        pictures: files, for bundles with an image encoder.

    Raises:
        VocabularyError: a text that the bundle does not know.
        BundleError: pictures, and a bundle without an image encoder.
        InputError: a picture that cannot be read.
    """
    queries = []
    if texts:
        queries.append(recognizer.embed_text(list(texts)))
    if pictures:
        queries.append(recognizer.embed_image([read_image(file) for file in pictures]))
    vectors = np.concatenate(queries)
    asked = [*texts, *(file.name for file in pictures)]
    rows = [
        recognizer.embed(list(clouds.clouds[start : start + _BATCH]), "y")
        for start in tqdm(range(0, len(clouds), _BATCH), "shapes", unit="batch", leave=False)
    ]
    cosines = vectors @ np.concatenate(rows).T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
    return [
        Found(text, own, scores[own])
        for text, own, scores in zip(asked, order, cosines, strict=True)
    ]


def write_retrieval(file: Path, found: Sequence[Found], clouds: LabelledClouds, title: str) -> None:
    """Write a row for every text as a .png, or cards of turning shapes as an .html page.

    Raises:
        InputError: the file cannot be written.
    """
    words = [
        [f"{f.text}: {clouds.classes[clouds.labels[row]].replace('_', ' ')} ({cosine:.2f})"
         for row, cosine in zip(f.rows, f.cosines, strict=True)]
        for f in found
    ]  # fmt: skip
    if file.suffix == ".html":
        entries = [
            PageEntry(
                f'"{f.text}", {place + 1}', clouds.clouds[row],
                [Ranked(clouds.classes[clouds.labels[row]].replace("_", " "),
                        float(np.clip(cosine, 0, 1)))],
                up="y",
            )
            for f in found
            for place, (row, cosine) in enumerate(zip(f.rows, f.cosines, strict=True))
        ]  # fmt: skip
        lead = "The shapes of highest cosine with each query, under their own class and the cosine."
        write_page(file, entries, title=title, lead=lead)
        return
    rows = [
        [(text, _picture(clouds.clouds[row])) for text, row in zip(own, f.rows, strict=True)]
        for own, f in zip(words, found, strict=True)
    ]
    write_sheet(file, rows, title)


def _picture(cloud: NDArray[np.float32]) -> NDArray[np.uint8]:
    upright = np.stack([cloud[:, 0], -cloud[:, 2], cloud[:, 1]], axis=1)
    return points_picture(upright, shaded(upright), _TILE, _TILE, elevation=20.0)
