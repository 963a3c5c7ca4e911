"""A sheet of small pictures, one of each object of a set."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import TrainingError
from cg3d_training.data.samples import decode_view
from cg3d_training.data.shards import ShardFolder

_MOST = 2500  # objects on a sheet; of larger sets, as many at even distances are shown


def write_contact_sheet(shards: ShardFolder, path: Path, tile: int = 80) -> int:
    """Write the first view of each object, side by side in the order of the set.

    Args:
        shards: the set.
        path: picture to write; its suffix says which kind (.png, .jpg).
        tile: pixels on a side of each.

    Returns:
        How many objects are on it.

    Raises:
        TrainingError: the set is empty, has no views, or the suffix is not known.
    """
    image = require("PIL.Image", "train", "Writing a contact sheet")
    if len(shards) == 0:
        raise TrainingError(f"{shards.storage.where} holds no object to show")
    rows = np.unique(np.linspace(0, len(shards) - 1, min(len(shards), _MOST)).astype(int))
    columns = math.ceil(math.sqrt(len(rows) * 1.5))
    sheet = image.new("RGB", (columns * tile, math.ceil(len(rows) / columns) * tile), "white")
    for i, row in enumerate(tqdm(rows, desc="contact sheet", unit="object", leave=False)):
        views = shards[int(row)].views
        if not views:
            raise TrainingError(f"{shards.index.key(row)} has no view to show")
        picture = image.fromarray(decode_view(views[0]))
        small = picture.resize((tile, tile), image.Resampling.LANCZOS)
        sheet.paste(small, (i % columns * tile, i // columns * tile))
    try:
        sheet.save(path, quality=80)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path} cannot be written: {error}") from error
    return len(rows)
