"""The bundle format: a folder of plain files that holds a model and all it needs to be used."""

from cg3d_runtime.bundle.manifest import FORMAT, Manifest
from cg3d_runtime.bundle.parts import (
    CalibrationInfo,
    CalibrationLevel,
    EncoderInfo,
    FileInfo,
    ImageEncoderInfo,
    ScenesInfo,
    TextEncoderInfo,
    TextInfo,
)
from cg3d_runtime.bundle.reader import Bundle, BundleText

__all__ = [
    "FORMAT",
    "Bundle",
    "BundleText",
    "CalibrationInfo",
    "CalibrationLevel",
    "EncoderInfo",
    "FileInfo",
    "ImageEncoderInfo",
    "Manifest",
    "ScenesInfo",
    "TextEncoderInfo",
    "TextInfo",
]
