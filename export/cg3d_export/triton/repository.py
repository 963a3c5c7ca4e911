"""A Triton model repository from a bundle, top to bottom."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cg3d_export.bank import TOP, bank_graph, encoder_graph_of
from cg3d_export.triton.config import (
    LABELS,
    Backend,
    Serving,
    Step,
    bank_step,
    encoder_step,
    ensemble_config,
    model_file,
    network_config,
    text_step,
)
from cg3d_export.triton.schema import model_config_schema, parse_config
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.bundle.folders import files_in, write_folder
from cg3d_runtime.engines.plan import Part, plan_header, plan_parts, read_plan
from cg3d_runtime.errors import BundleError, InputError

#: Says what the repository was made from; Triton reads folders only and passes it by.
RECORD = "cg3d-triton.json"

_FORMAT = 1
_MAX_RECORD_BYTES = 1 << 20

_CONFIG = "config.pbtxt"


@dataclass(frozen=True)
class TritonRepository:
    """A repository that was written.

    Attributes:
        folder: for `tritonserver --model-repository`.
        ensemble: the model that clients ask: points to labels.
        models: backend of every network, by its model's name.
        max_batch: clouds in one request at most.
        schema_checked: whether the configs were read with Triton's own schema, which takes the
            package tritonclient.
    """

    folder: Path
    ensemble: str
    models: dict[str, Backend]
    max_batch: int
    schema_checked: bool


@dataclass(frozen=True)
class _Network:
    """A network to be served: its model file, and how many inputs it takes at once."""

    step: Step
    backend: Backend
    data: bytes
    serving: Serving


def write_triton(
    bundle: Bundle,
    folder: Path,
    name: str | None = None,
    serving: Serving | None = None,
    engines: str | None = None,
) -> TritonRepository:
    """Write the models NAME_encoder, NAME_bank, NAME_text and the ensemble NAME of the first two.

    Args:
        bundle: what to serve. NAME_text is left out if it has no text encoder.
        folder: of the repository. An older one made here is replaced; anything else that lies
            there is left alone.
        name: of the ensemble; the bundle's by default, with - for what a name may not hold.
        serving: how; by default up to 64 clouds at once, one instance on a GPU.
        engines: the tag of a folder of plans in the bundle, e.g. "sm89-trt10.13.3-fp16". Networks
            with a plan there are served by TensorRT, the others by ONNX Runtime. The plans run on
            their kind of GPU and version of TensorRT only.

    Raises:
        BundleError: the bundle is damaged, the plans do not fit it or cannot be served, `folder`
            holds something else, or the disk refused.
        EngineError: the plans were built from another bundle.
        InputError: a name that no model can have.
    """
    target = Path(folder).resolve()
    _check_replaceable(target)
    ensemble = _model_name(bundle.manifest.name if name is None else name, given=name is not None)
    networks = _networks(bundle, ensemble, serving or Serving(), engines)
    most = min(network.serving.max_batch for network in networks[:2])
    files = _files(bundle, ensemble, networks, most)
    checked = _check_configs(files)
    record = _record(bundle, files)
    try:
        write_folder(target, {**files, RECORD: record})
    except OSError as error:
        raise BundleError(
            f"the model repository could not be written to {target}: {error}. Check the disk and "
            "its permissions; what was there before is unchanged."
        ) from error
    models = {network.step.name: network.backend for network in networks}
    return TritonRepository(target, ensemble, models, most, checked)


def _networks(
    bundle: Bundle, ensemble: str, serving: Serving, engines: str | None
) -> list[_Network]:
    """Encoder, bank, and the text encoder if there is one."""
    encoder_graph_of(bundle)  # what is no encoder is noticed here and not by the server
    labels = len(bundle.text().labels)
    bank = bank_graph(bundle).SerializeToString(deterministic=True)
    wanted: list[tuple[Part, Step, bytes]] = [
        (
            "encoder",
            encoder_step(bundle, f"{ensemble}_encoder"),
            bundle.bytes(bundle.manifest.encoder.file),
        ),
        ("bank", bank_step(bundle, f"{ensemble}_bank", labels, min(TOP, labels)), bank),
    ]
    if (text := bundle.manifest.text.encoder) is not None:
        step = text_step(bundle, f"{ensemble}_text", text.context_length)
        wanted.append(("text_encoder", step, bundle.bytes(text.file)))
    planned = () if engines is None else plan_parts(bundle, engines)
    if engines is not None and not {part for part, _, _ in wanted} & set(planned):
        raise BundleError(
            f"{bundle.root} has no plans of its networks in engines/{engines}. Build them with "
            "cg3d-export BUNDLE --trt, or leave the engines out and serve the ONNX files."
        )
    return [
        _planned(bundle, str(engines), part, step, serving)
        if part in planned
        else _Network(step, "onnxruntime", data, serving)
        for part, step, data in wanted
    ]


def _planned(bundle: Bundle, tag: str, part: Part, step: Step, serving: Serving) -> _Network:
    """A network's plan, served within the batch sizes it was built for."""
    info, plan = read_plan(bundle, tag, part)
    if plan_header(plan).magic == "vtrt":
        raise BundleError(
            f"{bundle.root}: the plan {part} of engines/{tag} was built by TensorRT-RTX, which "
            "Triton does not have. Build it with TensorRT, or serve the ONNX files."
        )
    profile = info.profiles.get(step.inputs[0].name)
    if profile is None or profile.minimum[0] != 1:
        raise BundleError(
            f"{bundle.root}: the plan {part} of engines/{tag} does not take a single cloud, and "
            "Triton may send one. Build it with --batch 1:OPT:MAX."
        )
    most = min(serving.max_batch, profile.maximum[0])
    best = serving.preferred_batch or (profile.optimum[0],)
    within = tuple(size for size in best if 1 < size <= most)
    return _Network(
        step, "tensorrt", plan, replace(serving, max_batch=most, preferred_batch=within)
    )


def _files(bundle: Bundle, ensemble: str, networks: list[_Network], most: int) -> dict[str, bytes]:
    files = {}
    labels = _labels(bundle)
    for network in networks:
        step = network.step
        config = network_config(step, network.backend, network.serving)
        files[f"{step.name}/{_CONFIG}"] = config.encode()
        files[f"{step.name}/1/{model_file(network.backend)}"] = network.data
        if any(tensor.labelled for tensor in step.outputs):
            files[f"{step.name}/{LABELS}"] = labels
    preprocess = bundle.manifest.preprocess
    parameters = {
        "bundle": bundle.manifest.name,
        # With the number of points, which is in the input's shape, all of `PreprocessSpec`.
        "candidates": str(preprocess.candidates),
    }
    steps = [network.step for network in networks[:2]]
    config = ensemble_config(ensemble, steps, most, parameters)
    files[f"{ensemble}/{_CONFIG}"] = config.encode()
    files[f"{ensemble}/{LABELS}"] = labels
    # Triton wants a version of every model, if only an empty one; an empty folder gets lost on the
    # way through git and object stores.
    files[f"{ensemble}/1/README.md"] = b"An ensemble has no file of its own.\n"
    return files


def _labels(bundle: Bundle) -> bytes:
    """The names, one a line, row by row of the bank."""
    labels = bundle.text().labels
    for label in labels:
        if label.splitlines() != [label]:
            raise BundleError(
                f"{bundle.root}: the label {label[:60]!r} is more than one line, which Triton's "
                "files of labels cannot hold. Export the bundle with another label."
            )
    return "".join(f"{label}\n" for label in labels).encode()


def _check_configs(files: dict[str, bytes]) -> bool:
    """Read every config with Triton's schema, if that is at hand."""
    schema = model_config_schema()
    if schema is None:
        return False
    for place, data in files.items():
        if place.endswith(_CONFIG):
            parse_config(data.decode(), place, schema)
    return True


def _model_name(name: str, given: bool) -> str:
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")
    if not plain or len(plain) > 100 or (given and plain != name):
        raise InputError(
            f"{name[:60]!r} is no name for a Triton model; give one of up to 100 letters, digits, "
            "'_', '.' and '-'"
        )
    return plain


def _record(bundle: Bundle, files: dict[str, bytes]) -> bytes:
    manifest = bundle.manifest
    about = {
        "format": _FORMAT,
        "bundle": manifest.name,
        "encoder_sha256": manifest.files[manifest.encoder.file].sha256,
        "files": {place: hashlib.sha256(data).hexdigest() for place, data in files.items()},
    }
    return (json.dumps(about, indent=1, sort_keys=True) + "\n").encode()


def _check_replaceable(target: Path) -> None:
    """Refuse to write over anything that is not, byte by byte, what was written here."""
    if not target.exists():
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    known = _recorded(target)
    if known is None:
        raise BundleError(
            f"{target} exists and is not a model repository of cg3d-export. Choose another folder "
            "or remove it."
        )
    for place in sorted(files_in(target)):
        if place == RECORD:
            continue
        if not _is_as_written(target / place, known.get(place)):
            raise BundleError(
                f"{target} is a model repository of cg3d-export, but {place!r} was changed or "
                "added since and would be lost. Move it away or choose another folder."
            )


def _is_as_written(file: Path, sha256: object) -> bool:
    if sha256 is None or file.is_symlink() or not file.is_file():
        return False
    return hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def _recorded(target: Path) -> dict[str, Any] | None:
    """The files of a repository as they were written, or None if it is no such repository."""
    record = target / RECORD
    try:
        if record.is_symlink() or record.stat().st_size > _MAX_RECORD_BYTES:
            return None
        about = json.loads(record.read_bytes())
        files = about["files"] if about["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return files if isinstance(files, dict) else None
