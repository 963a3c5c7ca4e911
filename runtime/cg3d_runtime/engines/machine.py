"""Whether a TensorRT plan fits this machine, told before TensorRT sees it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cg3d_runtime.engines.cuda import CudaDevice
from cg3d_runtime.engines.place import REBUILD
from cg3d_runtime.engines.sidecar import PlanInfo
from cg3d_runtime.errors import BundleError, EngineError


@dataclass(frozen=True)
class PlanHeader:
    """The first bytes of a plan.

    Attributes:
        magic: "ftrt" for TensorRT, "vtrt" for TensorRT-RTX, which load only their own.
        version: of the library that built it, e.g. "10.3.0.30".
    """

    magic: Literal["ftrt", "vtrt"]
    version: str


def plan_header(plan: bytes, where: str = "the plan") -> PlanHeader:
    """What a plan says about itself; needs neither TensorRT nor a GPU.

    Source: `printPlanVersion` in samples/common/sampleEngines.cpp of NVIDIA/TensorRT.

    Raises:
        BundleError: the bytes are no plan.
    """
    magic = plan[:4]
    if len(plan) < 32 or magic not in (b"ftrt", b"vtrt"):
        raise BundleError(f"{where} is no TensorRT plan: it does not begin like one.")
    return PlanHeader("ftrt" if magic == b"ftrt" else "vtrt", ".".join(map(str, plan[24:28])))


def check_machine(
    info: PlanInfo,
    header: PlanHeader,
    tensorrt_version: str,
    device: CudaDevice,
    rebuild: str = REBUILD,
) -> None:
    """Refuse a plan that this machine's TensorRT would not load, before TensorRT sees it.

    Args:
        info: the plan's sidecar.
        header: the plan's header.
        tensorrt_version: the one that is installed.
        device: the one that is here.
        rebuild: the command that builds the plan anew, for the error.

    Raises:
        EngineError: saying whether the TensorRT version, the device or both differ.
    """
    if differences := list(_differences(info, header, tensorrt_version, device)):
        raise EngineError(
            f"the plan of the part {info.part!r} does not fit this machine: "
            f"{'; and '.join(differences)}. Build it here: {rebuild}"
        )


def _differences(
    info: PlanInfo, header: PlanHeader, tensorrt: str, device: CudaDevice
) -> Iterator[str]:
    if header.magic == "vtrt":
        yield "it was built by TensorRT-RTX, whose plans TensorRT does not load"
    elif not _version_fits(header.version, tensorrt, info.version_compatible):
        later = " or a later one" if info.version_compatible else ""
        yield (
            f"the TensorRT version differs (the plan needs {header.version}{later}, "
            f"{tensorrt} is installed)"
        )
    if not _device_fits(info, device):
        also = ", and newer ones" if info.hardware_compatibility == "ampere_plus" else ""
        yield (
            f"the device differs (the plan is for {info.device}, compute capability "
            f"{info.compute_capability}{also}; this is {device.name}, compute capability "
            f"{device.compute_capability})"
        )


def _version_fits(built: str, installed: str, compatible: bool) -> bool:
    if not compatible:
        return same_version(built, installed)
    # The next major version still loads version-compatible plans; the one after it need not.
    plan, here = version_numbers(built)[:3], version_numbers(installed)[:3]
    return plan <= here and here[0] <= plan[0] + 1


def _device_fits(info: PlanInfo, device: CudaDevice) -> bool:
    if info.hardware_compatibility == "ampere_plus":
        return version_numbers(device.compute_capability) >= (8, 0)
    return device.compute_capability == info.compute_capability


def same_version(one: str, other: str) -> bool:
    """Whether two versions agree as far as both go: some packages leave out the build number."""
    pairs = list(zip(version_numbers(one), version_numbers(other), strict=False))
    return len(pairs) >= 3 and all(a == b for a, b in pairs)


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, e.g. (10, 3, 0, 30); () where there are none."""
    found = re.match(r"[0-9]{1,9}(\.[0-9]{1,9})*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
