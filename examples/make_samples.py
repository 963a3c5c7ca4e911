"""Write the sample clouds that `cg3d demo` recognises.

Ten are made by our generator; four are cut from the furnished worlds of AWS RoboMaker (MIT-0).
All are as a robot would have them: metres, z up, standing on z = 0.

    python examples/make_samples.py --scenes ../shared/data/scenes
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from cg3d_training.shapes import generate

POINTS = 4096
# Seeds picked by eye, before anything had been recognised.
MADE = {
    "bed": 4,
    "bookcase": 7,
    "bottle": 4,
    "chair": 0,
    "guitar": 1,
    "lamp": 7,
    "laptop": 3,
    "mug": 3,
    "potted plant": 2,
    "toilet": 3,
}
# The name, the world and the instance there.
CUT = {
    "armchair": ("hospital", "SofaB_01"),
    "refrigerator": ("hospital", "Refrigerator_01"),
    "sofa": ("hospital", "Sofa_01"),
    "stool": ("bookstore", "ChairB_01"),
}
SAMPLES = Path(__file__).resolve().parents[1] / "cg3d_sdk" / "samples"


def made(name: str, seed: int) -> NDArray[np.float32]:
    """(4096, 3) of a generated object, turned from y up to z up."""
    x, y, z = generate(name, seed, POINTS).T
    return np.stack([x, -z, y], axis=1)


def cut(scenes: Path, world: str, instance: str) -> NDArray[np.float32]:
    """Up to (4096, 3) of the first instance of that name in a world, moved to the origin."""
    with np.load(scenes / f"{world}.npz") as scene:
        row = scene["names"].tolist().index(instance)
        points = scene["xyz_mm"][scene["instance"] == row].astype(np.float32) / 1000
    chosen = np.random.default_rng(0).permutation(len(points))[:POINTS]
    points = points[chosen]
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return points - [middle[0], middle[1], points[:, 2].min()]


@click.command()
@click.option("--scenes", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", default=SAMPLES, type=click.Path(file_okay=False, path_type=Path))
def main(scenes: Path | None, output: Path) -> None:
    """Write the samples; without --scenes only those that are made, not the four that are cut."""
    clouds = {name: made(name, seed) for name, seed in MADE.items()}
    if scenes is not None:
        clouds |= {name: cut(scenes, *place) for name, place in CUT.items()}
    output.mkdir(parents=True, exist_ok=True)
    for name, points in clouds.items():
        path = output / f"{name.replace(' ', '_')}.npz"
        # Half precision keeps 2 mm at 4 m, and keeps the wheel small.
        np.savez_compressed(path, points=points.astype(np.float16))
        click.echo(f"{path.name}: {len(points)} points, {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
