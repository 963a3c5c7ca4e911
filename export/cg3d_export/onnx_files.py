"""A bundle's networks as plain ONNX files, for engines that cg3d-sdk does not know."""

from __future__ import annotations

from pathlib import Path

from cg3d_export.bank import bank_graph, fused_graph
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.folders import write_folder
from cg3d_runtime.errors import BundleError


def write_onnx_files(bundle: Bundle, folder: Path) -> tuple[Path, ...]:
    """Write encoder.onnx, bank.onnx, recognizer.onnx (both in one), the text encoder, the labels.

    Args:
        bundle: whose networks they are; encoder and text encoder byte for byte.
        folder: new, or empty.

    Returns:
        The files. labels.json names the rows of "scores", in order.

    Raises:
        BundleError: the bundle is damaged, or the disk refused.
        InputError: as `bank_graph`.
    """
    manifest = bundle.manifest
    files = {
        "encoder.onnx": bundle.bytes(manifest.encoder.file),
        "bank.onnx": bank_graph(bundle).SerializeToString(deterministic=True),
        "recognizer.onnx": fused_graph(bundle).SerializeToString(deterministic=True),
        "labels.json": bundle.bytes(manifest.text.labels),
    }
    if manifest.text.encoder is not None:
        files["text_encoder.onnx"] = bundle.bytes(manifest.text.encoder.file)
        files["merges.txt"] = bundle.bytes(manifest.text.encoder.merges)
    target = folder.resolve()
    try:
        write_folder(target, files)
    except OSError as error:
        raise BundleError(
            f"the graphs could not be written to {target}: {error}. Check the disk and its "
            "permissions."
        ) from error
    return tuple(target / name for name in files)
