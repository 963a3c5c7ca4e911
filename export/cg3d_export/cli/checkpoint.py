"""`cg3d-export CHECKPOINT`: needs torch; the further targets of the new bundle in one go."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cg3d_export.cli.bundle import announce, check_targets, targets_of, targets_text
from cg3d_runtime.dependencies import require

if TYPE_CHECKING:
    from cg3d_runtime.bundle import Bundle


def export_from_checkpoint(checkpoint: Path, given: dict[str, Any], as_json: bool) -> str:
    """Export a checkpoint, and from its bundle what else is asked for; what to print.

    Raises:
        Cg3dError: as `export_bundle` and `targets_of`.
    """
    for package in ("torch", "onnx", "onnxscript", "safetensors", "tqdm"):
        require(package, "export", "Exporting a bundle")
    # Before the minutes of an export, not after.
    check_targets(given, str(given["output"]))
    if not given["onnx_only"]:
        return _export(checkpoint, given["output"], given, as_json)
    with tempfile.TemporaryDirectory(prefix="cg3d-export-") as folder:
        return _export(checkpoint, Path(folder) / given["output"].resolve().name, given, as_json)


def _export(checkpoint: Path, output: Path, given: dict[str, Any], as_json: bool) -> str:
    from cg3d_export.export import ExportOptions, export_bundle

    bundle = export_bundle(
        checkpoint,
        output,
        ExportOptions(
            given["precision"] or "fp16",
            given["text"],
            given["labels"],
            given["phrasing"],
            given["clouds"],
            given["name"],
            given["licence"],
            given["model_card"],
            given["attribution"],
            given["points"],
            given["keep"],
            given["image_encoder"],
            given["prompts"],
            given["labels_only"],
        ),
        announce=announce,
    )
    made = targets_of(bundle, {**given, "precision": None})
    if as_json:
        return json.dumps({**_record(bundle), **made}, indent=1)
    lines = targets_text(made)
    return "\n".join(lines if given["onnx_only"] else [_text(bundle), *lines])


def _record(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "bundle": str(bundle.root),
        "name": manifest.name,
        "bytes": sum(file.bytes for file in manifest.files.values()),
        "precision": manifest.encoder.precision,
        "labels": len(bundle.text().labels),
        "parity": manifest.parity,
    }


def _text(bundle: Bundle) -> str:
    manifest, parity = bundle.manifest, bundle.manifest.parity
    size = sum(file.bytes for file in manifest.files.values())
    return (
        f"{bundle.root}: {size / 1e6:.1f} MB, encoder in {manifest.encoder.precision}, "
        f"{len(bundle.text().labels)} labels\n"
        f"Against torch on {parity['clouds']} clouds: mean cosine {parity['mean_cosine']:.7f}, "
        f"worst {parity['worst_cosine']:.7f}, same best label for "
        f"{100 * parity['top1_agreement']:.1f} %"
    )
