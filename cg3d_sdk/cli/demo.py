"""`cg3d demo`: recognise the samples and write a page to look at."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cg3d_sdk.cli.options import OutputFile, bundle_option
from cg3d_sdk.cli.output import answer_line

if TYPE_CHECKING:
    from cg3d_sdk.recognizer import Recognizer

_SHOWN = 5


@click.command("demo", short_help="Recognise sample clouds and write a page to look at.")
@click.option(
    "-o", "--output", default="cg3d-demo.html", show_default=True, metavar="FILE",
    type=OutputFile(), help="Where to write the page.",
)  # fmt: skip
@bundle_option
def demo_command(output: Path, bundle: Path | None) -> None:
    """Recognise the sample clouds that ship with cg3d-sdk, and write a page to look at.

    The page is one HTML file that needs no network: clouds to turn, and what each was taken for.

    \b
    Example:
      cg3d demo -o demo.html
    """
    from cg3d_runtime.files import read_points
    from cg3d_sdk.page import PageEntry, write_page
    from cg3d_sdk.recognizer import Recognizer

    recognizer = Recognizer(bundle)
    samples = sample_files()
    width = max(len(path.stem) for path in samples)
    entries = []
    first = among = 0
    for path in samples:
        name = path.stem.replace("_", " ")
        cloud = read_points(path)
        result = recognizer.classify(cloud.points, up="z")
        click.echo(answer_line(name, width, result, 3))
        truth = _label_of(recognizer, name)
        first += result.label == truth
        among += truth in [r.label for r in result.ranking[:_SHOWN]]
        entries.append(PageEntry(name, cloud.points, result.ranking[:_SHOWN], truth))
    click.echo(
        f"Of {len(samples)} samples {first} have their own name first, {among} among the first "
        f"{_SHOWN}."
    )
    manifest = recognizer.bundle.manifest
    write_page(
        output,
        entries,
        title="What is it, by shape alone?",
        lead=f"{len(entries)} point clouds, each compared with {len(recognizer.labels):,} names. "
        f"No colour, no picture: only points. Bundle {manifest.name}, "
        f"{manifest.encoder.parameters / 1e6:.1f} M parameters.",
    )
    click.echo(f"Wrote {output} ({output.stat().st_size / 1024:.0f} kB): open it in a browser.")


def sample_files() -> list[Path]:
    """The sample clouds of the package: .npz, metres, z up, named for what they show."""
    return sorted(Path(str(resources.files("cg3d_sdk") / "samples")).glob("*.npz"))


def _label_of(recognizer: Recognizer, name: str) -> str | None:
    """The label under which the recogniser knows a name, if it does."""
    return recognizer.labels[recognizer.bank.index(name)] if name in recognizer.bank else None
