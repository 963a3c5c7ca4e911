"""Cut the objects out of views of tables, ready for `cg3d classify`.

    python examples/cut_tabletop.py ../shared/data/scans/tabletop objects/
    cg3d classify objects/*.npy --labels box,can,pot,bowl,cup --top 2

Writes SCENE_LABEL_CLASS.npy files: (n, 3) float32, metres, z up (the table's normal).
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from cg3d_training.data.tabletop import scanned_objects


@click.command()
@click.argument("views", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
def main(views: Path, output: Path) -> None:
    """Write every annotated object in VIEWS as a file in OUTPUT."""
    output.mkdir(parents=True, exist_ok=True)
    count = 0
    for o in scanned_objects(views):
        np.save(output / f"{o.scene}_{o.label}_{o.name}.npy", o.points)
        count += 1
    click.echo(f"{count} objects in {output}")


if __name__ == "__main__":
    main()
