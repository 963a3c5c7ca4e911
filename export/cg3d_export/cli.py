"""`cg3d-export`: a checkpoint in, a bundle out. torch is imported when the export runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cg3d_runtime.dependencies import require
from cg3d_runtime.errors import Cg3dError
from cg3d_sdk.version import __version__

if TYPE_CHECKING:
    from cg3d_runtime.bundle import Bundle

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.version_option(__version__, prog_name="cg3d-export")
@click.argument("checkpoint", type=_FILE)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="BUNDLE",
    help="Folder of the bundle; an older bundle there is replaced.",
)  # fmt: skip
@click.option(
    "--text", required=True, metavar="TEXT_CHECKPOINT",
    help="Text encoder of cg3d-train text; or open_clip:MODEL[:WEIGHTS] or slip:FILE, whose "
    "vectors for --labels then make the bank. WEIGHTS is a file or a tag, openai by default.",
)  # fmt: skip
@click.option("--labels", type=_FILE, help="With open_clip or slip: the labels, one a line.")
@click.option(
    "--phrasing", metavar="TEXT",
    help='With open_clip or slip: what is said of a label, {} in its place. By default "a {}".',
)  # fmt: skip
@click.option(
    "--precision", type=click.Choice(["fp32", "fp16"]), default="fp16", show_default=True,
    help="Of the encoder's weights and products; geometry is always fp32.",
)  # fmt: skip
@click.option(
    "--clouds", type=click.Path(exists=True, path_type=Path), metavar="NPZ",
    help="Clouds (n, N, 3) to compare with torch on, or the folder of the household set. "
    "By default the samples of cg3d-sdk.",
)  # fmt: skip
@click.option("--name", help="Name of the bundle. By default its folder's.")
@click.option(
    "--licence", default="NOASSERTION", show_default=True, metavar="SPDX",
    help="Licence of the bundle as an SPDX expression.",
)  # fmt: skip
@click.option("--model-card", type=_FILE, help="Markdown file about the model, for the bundle.")
@click.option("--attribution", type=_FILE, help="Markdown file with the credits of the data.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def main(
    checkpoint: Path,
    output: Path,
    text: str,
    labels: Path | None,
    phrasing: str | None,
    precision: Literal["fp32", "fp16"],
    clouds: Path | None,
    name: str | None,
    licence: str,
    model_card: Path | None,
    attribution: Path | None,
    as_json: bool,
) -> None:
    """Export CHECKPOINT, made by cg3d-train, as a bundle for robots.

    The encoder becomes an ONNX file (opset 18, any batch size), the words a text bank. The export
    compares itself with torch on real clouds and fails, leaving no bundle, where they differ.

    \b
    Examples:
      cg3d-export runs/small/checkpoint.safetensors -o bundles/small \\
        --text runs/text/text_encoder.safetensors
      cg3d-export runs/small/checkpoint.safetensors -o bundles/exact --precision fp32 \\
        --text runs/text/text_encoder.safetensors --clouds ../shared/data/household
      cg3d-export runs/small/checkpoint.safetensors -o bundles/clip \\
        --text open_clip:ViT-B-32:weights/vit_b_32.pt --labels labels.txt
      cg3d-export runs/official.safetensors -o bundles/official --labels labels.txt \\
        --text slip:weights/slip_base_100ep.pt --phrasing "This is a {}"
    """
    try:
        for package in ("torch", "onnx", "onnxscript", "safetensors", "tqdm"):
            require(package, "export", "Exporting a bundle")
        from cg3d_export.export import ExportOptions, export_bundle

        bundle = export_bundle(
            checkpoint,
            output,
            ExportOptions(
                precision, text, labels, phrasing, clouds, name, licence, model_card, attribution
            ),
            announce=lambda step: click.echo(f"{step} ...", err=True),
        )
    except Cg3dError as error:
        raise click.ClickException(str(error)) from error
    click.echo(_as_json(bundle) if as_json else _as_text(bundle))


def _as_json(bundle: Bundle) -> str:
    manifest = bundle.manifest
    return json.dumps(
        {
            "bundle": str(bundle.root),
            "name": manifest.name,
            "bytes": sum(file.bytes for file in manifest.files.values()),
            "precision": manifest.encoder.precision,
            "labels": len(bundle.text().labels),
            "parity": manifest.parity,
        },
        indent=1,
    )


def _as_text(bundle: Bundle) -> str:
    manifest, parity = bundle.manifest, bundle.manifest.parity
    size = sum(file.bytes for file in manifest.files.values())
    return (
        f"{bundle.root}: {size / 1e6:.1f} MB, encoder in {manifest.encoder.precision}, "
        f"{len(bundle.text().labels)} labels\n"
        f"Against torch on {parity['clouds']} clouds: mean cosine {parity['mean_cosine']:.7f}, "
        f"worst {parity['worst_cosine']:.7f}, same best label for "
        f"{100 * parity['top1_agreement']:.1f} %"
    )
