"""Training throughput: our step beside a straightforward one, same weights, same batch, one run.

    python benchmarks/training_step.py [--batch 8] [--repeats 3] [--threads 1] [--json]

A step is the forward pass, the point-text loss, the backward pass and AdamW. Before any timing both
versions have to give the same embeddings. "ordered" is how `cg3d-train pretrain` works: furthest
point order is prepared once, before training, so that no step samples. "bf16" is `precision: bf16`
of a recipe, as in those that ship for CPUs; all else is float32, the official code's precision.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Callable

import click
import numpy as np
import torch
from plain_encoders import plain_point_mlp, plain_point_transformer
from torch import Tensor

from cg3d_runtime.points import furthest_point_order, unit_sphere
from cg3d_training.encoders import PointEncoder, create_encoder
from cg3d_training.losses import contrastive_loss, unit_rows

PLAIN = {
    "point_transformer": plain_point_transformer,
    "point_transformer_small": plain_point_transformer,
    "point_mlp": plain_point_mlp,
    "point_mlp_elite": plain_point_mlp,
}


def clouds(batch: int, points: int) -> Tensor:
    """(B, N, 3) float32 surfaces of random boxes, in the unit sphere and in order."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(batch):
        xyz = rng.uniform(-1, 1, (points, 3))
        face = rng.integers(3, size=points)
        xyz[np.arange(points), face] = np.sign(xyz[np.arange(points), face])
        sphere = unit_sphere(xyz * rng.uniform(0.3, 1, 3)).xyz
        made.append(sphere[furthest_point_order(sphere, points)])
    return torch.from_numpy(np.stack(made))


def seconds_per_step(
    encoder: PointEncoder, embed: Callable[[Tensor], Tensor], points: Tensor, repeats: int
) -> float:
    """The median over `repeats` steps, after one to warm up."""
    texts = unit_rows(torch.randn(len(points), 512, generator=torch.Generator().manual_seed(0)))
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1e-4)
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        loss = contrastive_loss(unit_rows(embed(points)), texts, torch.eye(len(points)), 0.07)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _bf16(encoder: PointEncoder, points: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return encoder.embed_ordered(points)


def compare(name: str, batch: int, repeats: int) -> dict[str, float]:
    """Clouds per second of each version."""
    torch.manual_seed(0)
    ours = create_encoder(name)
    plain = copy.deepcopy(ours)
    points = clouds(batch, ours.points)
    with torch.no_grad():
        found = unit_rows(ours.eval()(points))
        expected = unit_rows(PLAIN[name](plain.eval(), points))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    ours.train()
    plain.train()
    ways = {
        "plain": (plain, lambda p: PLAIN[name](plain, p)),
        "ours": (ours, ours),
        "ours, ordered": (ours, ours.embed_ordered),
        "ours, ordered, bf16": (ours, lambda p: _bf16(ours, p)),
    }
    return {
        way: batch / seconds_per_step(encoder, embed, points, repeats)
        for way, (encoder, embed) in ways.items()
    }


@click.command()
@click.option("--batch", default=8, show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--encoder", "names", multiple=True, type=click.Choice(list(PLAIN)))
@click.option("--json", "as_json", is_flag=True)
def main(batch: int, repeats: int, threads: int, names: tuple[str, ...], as_json: bool) -> None:
    """Time training steps."""
    torch.set_num_threads(threads)
    found = {name: compare(name, batch, repeats) for name in names or PLAIN}
    if as_json:
        click.echo(json.dumps({"batch": batch, "threads": threads, "clouds_per_second": found}))
        return
    ways = [way for way in next(iter(found.values())) if way != "plain"]
    click.echo("| encoder | plain, clouds/s |" + "".join(f" {way} | ratio |" for way in ways))
    click.echo("|---|---|" + "---|---|" * len(ways))
    for name, speed in found.items():
        plain = speed["plain"]
        rest = "".join(f" {speed[way]:.2f} | {speed[way] / plain:.2f} |" for way in ways)
        click.echo(f"| {name} | {plain:.2f} |{rest}")


if __name__ == "__main__":
    main()
