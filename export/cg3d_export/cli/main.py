"""`cg3d-export`: a checkpoint in, a bundle out; a bundle in, engines and other targets out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cg3d_export.cli.options import CHECKPOINT_ONLY, ENGINES_ONLY, export_options
from cg3d_runtime.bundle.manifest import MANIFEST
from cg3d_sdk.cli.verbs import or_one_line
from cg3d_sdk.version import __version__


@click.command()
@click.version_option(__version__, prog_name="cg3d-export")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@export_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def main(context: click.Context, /, source: Path, as_json: bool, **given: Any) -> None:
    """Export SOURCE: a checkpoint of cg3d-train as a bundle, or a bundle to the machine it runs on.

    A bundle holds the encoder as an ONNX file (opset 18, any batch size) and the words as a text
    bank. The export of a checkpoint compares itself with torch on real clouds and fails, leaving no
    bundle, where they differ. A bundle is exported further without torch, on a robot too.

    \b
    Examples:
      cg3d-export runs/small/checkpoint.safetensors -o bundles/small \\
        --text runs/text/text_encoder.safetensors
      cg3d-export bundles/small --trt
      cg3d-export bundles/small --trt --dry-run
      cg3d-export bundles/small --trt --batch 1:1:8 --workspace 512MiB --fuse
      cg3d-export bundles/small --triton model_repository
      cg3d-export bundles/small --onnx-only -o graphs
      cg3d-export bundles/small --check
      cg3d-export runs/small/checkpoint.safetensors -o bundles/exact --precision fp32 \\
        --text runs/text/text_encoder.safetensors --clouds ../shared/data/household
      cg3d-export runs/small/checkpoint.safetensors -o bundles/clip \\
        --text open_clip:ViT-B-32:weights/vit_b_32.pt --labels labels.txt
      cg3d-export runs/official.safetensors -o bundles/official --labels labels.txt \\
        --text slip:weights/slip_base_100ep.pt --phrasing "This is a {}"
    """
    is_bundle = (source / MANIFEST).is_file()
    _check_usage(context, source, given, is_bundle)
    click.echo(or_one_line(lambda: _exported(source, given, as_json, is_bundle)))


def _exported(source: Path, given: dict[str, Any], as_json: bool, is_bundle: bool) -> str:
    """The report; each of the two imports what it needs, and only that."""
    if is_bundle:
        from cg3d_export.cli.bundle import export_from_bundle

        return export_from_bundle(source, given, as_json)
    from cg3d_export.cli.checkpoint import export_from_checkpoint

    return export_from_checkpoint(source, given, as_json)


def _check_usage(
    context: click.Context, source: Path, given: dict[str, Any], is_bundle: bool
) -> None:
    """Refuse options that would do nothing, and a source that is neither of the two.

    Raises:
        click.UsageError: with what to give in their place.
    """
    if source.is_dir() and not is_bundle:
        raise click.UsageError(
            f"{source} is a folder without {MANIFEST}: no bundle. Give a bundle or a checkpoint."
        )
    if given["onnx_only"] and (given["trt"] or given["triton"]):
        raise click.UsageError("--onnx-only goes without --trt and --triton.")
    if given["check"] and (given["trt"] or given["triton"] or given["onnx_only"]):
        raise click.UsageError("--check goes without --trt, --triton and --onnx-only.")
    if not given["trt"] and (name := _first_given(context, ENGINES_ONLY)):
        raise click.UsageError(f"{name} is about engines: add --trt.")
    if is_bundle:
        if name := _first_given(context, CHECKPOINT_ONLY):
            raise click.UsageError(
                f"{name} is for the export of a checkpoint; {source} is a bundle already."
            )
        if not any(given[target] for target in ("trt", "triton", "onnx_only", "check")):
            raise click.UsageError(
                f"{source} is a bundle. Say what to make of it: --trt, --triton DIR or "
                "--onnx-only -o FOLDER; or --check."
            )
        if (given["output"] is None) == given["onnx_only"]:
            raise click.UsageError(
                "--onnx-only needs -o FOLDER."
                if given["onnx_only"]
                else "-o is for a checkpoint or --onnx-only: engines go into the bundle's folder."
            )
        for name in ("precision", "clouds"):
            if given[name] and not given["trt"]:
                raise click.UsageError(f"--{name} of a bundle is about engines: add --trt.")
        return
    for option, value in (("-o FOLDER", given["output"]), ("--text", given["text"])):
        if value is None:
            raise click.UsageError(f"the export of a checkpoint needs {option}.")
    if given["check"]:
        raise click.UsageError("--check is about a bundle: export the checkpoint first.")
    if given["dry_run"]:
        raise click.UsageError(
            "--dry-run shows the engines of a bundle: export the checkpoint first, without --trt, "
            f"then: cg3d-export {given['output']} --trt --dry-run"
        )


def _first_given(context: click.Context, names: tuple[str, ...]) -> str:
    """The first of these options that stands on the command line."""
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            return f"--{name.replace('_', '-')}"
    return ""
