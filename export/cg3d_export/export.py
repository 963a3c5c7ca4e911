"""The export, from a checkpoint to a bundle, top to bottom."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from cg3d_export.against_torch import TORCH, torch_runner, worst_modules
from cg3d_export.bisect import blame, worst_layers
from cg3d_export.clouds import CheckClouds, check_clouds
from cg3d_export.graph import OPSET, encoder_graph
from cg3d_export.image_part import image_part, load_image_source
from cg3d_export.int8 import int8_products
from cg3d_export.parity import graph_runner, holds, require_parity
from cg3d_export.precision import half_products
from cg3d_export.report import ExportReport, Runner, make_report, report_json
from cg3d_export.report_html import report_html
from cg3d_export.text_part import TextPart, export_text_encoder, load_text_part, merges
from cg3d_runtime.bundle import Bundle, EncoderInfo, TextInfo
from cg3d_runtime.bundle.arrays import encode_array
from cg3d_runtime.bundle.labels import LabelRow, encode_labels
from cg3d_runtime.bundle.parts import Precision
from cg3d_runtime.bundle.writer import check_replaceable, write_bundle
from cg3d_runtime.engines.choose import open_engine
from cg3d_runtime.engines.cuda import cuda_device_count
from cg3d_runtime.errors import EngineError, InputError, TrainingError
from cg3d_runtime.points.prepare import PreprocessSpec
from cg3d_runtime.text.bank import TextBank
from cg3d_runtime.text.space import TextSpace
from cg3d_training.checkpoint import Checkpoint, load_checkpoint
from cg3d_training.encoders import PointEncoder

#: A robot thins larger clouds to this many times the encoder's points before it samples: enough
#: for an even choice, and furthest point sampling stays a matter of milliseconds.
_CANDIDATES = 4


@dataclass(frozen=True)
class ExportOptions:
    """What to make of a checkpoint.

    Attributes:
        precision: of the encoder's weights and products.
        text, labels, phrasing, labels_only: where the words come from, see `load_text_part`.
        clouds: what to check the export on, see `check_clouds`; INT8 is calibrated on half of them.
        name: of the bundle; the folder's by default.
        licence: of the bundle, as an SPDX expression.
        model_card, attribution: Markdown files to put into the bundle.
        points: that the encoder takes; as many as it was trained with where None.
        keep: modules whose products stay in FP32, or with INT8 in FP16.
        image_encoder, prompts: the teacher whose image tower goes into the bundle, and its visual
            prompts, see `load_image_source`.
    """

    precision: Precision
    text: str
    labels: Path | None = None
    phrasing: tuple[str, ...] = ()
    clouds: Path | None = None
    name: str | None = None
    licence: str = "NOASSERTION"
    model_card: Path | None = None
    attribution: Path | None = None
    points: int | None = None
    keep: tuple[str, ...] = ()
    image_encoder: str | None = None
    prompts: Path | None = None
    labels_only: bool = False


def export_bundle(
    checkpoint: Path,
    output: Path,
    options: ExportOptions,
    announce: Callable[[str], None] = lambda step: None,
) -> Bundle:
    """Export a trained encoder with its words as a bundle, and check it against torch.

    Args:
        checkpoint: made by `cg3d-train pretrain`.
        output: the bundle's folder; an older bundle there is replaced once the new one is whole.
        options: what to make of it.
        announce: told the name of every step that takes a while, before it.

    Raises:
        TrainingError: a checkpoint cannot be read, or encoder and text do not fit each other.
        BundleError: `output` holds something else, or the export is not what was trained.
        InputError: there are no clouds to check the export on, or the encoder does not take so
            many points.
    """
    check_replaceable(output)
    if options.keep and options.precision == "fp32":
        raise InputError("--keep leaves modules in FP32, and with --precision fp32 all of them are")
    if options.prompts is not None and options.image_encoder is None:
        raise InputError("--prompts are those of an --image-encoder, and none is given")
    documents = {"MODEL_CARD.md": options.model_card, "ATTRIBUTION.md": options.attribution}
    files = {name: _read(path) for name, path in documents.items() if path is not None}

    announce("reading the checkpoints")
    trained = load_checkpoint(checkpoint)
    encoder = trained.build()
    _set_points(encoder, options.points)
    preprocess = PreprocessSpec(encoder.points, _CANDIDATES * encoder.points)
    text = load_text_part(options.text, options.labels, options.phrasing, options.labels_only)
    space = _shared_space(trained, encoder.embedding_dim, text)
    pictures = None
    if options.image_encoder is not None:
        pictures = load_image_source(options.image_encoder, options.prompts, encoder.embedding_dim)
    anchors = space.apply(text.vectors)
    clouds = check_clouds(options.clouds, preprocess)

    announce("exporting the encoder")
    exact = encoder_graph(encoder)
    if options.precision == "int8":
        announce("calibrating on half of the clouds")
        graph = int8_products(exact, clouds.prepared[::2], options.keep)
        clouds = clouds[1::2]
    elif options.precision == "fp32":
        graph = exact
    else:
        graph = half_products(exact, options.precision, options.keep)
    files["encoder.onnx"] = _bytes(graph)

    announce("comparing it with torch")
    report = make_report(
        options.name or output.resolve().name,
        graph,
        options.precision,
        Runner(TORCH, "fp32", torch_runner(encoder)),
        _runners(files["encoder.onnx"], options.precision),
        clouds,
        preprocess,
        TextBank(text.labels, text.aliases, anchors, trained.logit_scale),
    )
    _require_report(report, encoder, exact, graph, clouds)
    files["report.json"] = report_json(report)
    files["report.html"] = report_html(report).encode()
    parity = report.engines[1].parity
    assert parity is not None
    record = parity.record("clouds")

    rows = zip(text.labels, text.aliases, strict=True)
    files["text/labels.json"] = encode_labels([LabelRow(*row) for row in rows])
    files["text/vectors.npy"] = encode_array(text.vectors)
    files["text/mean.npy"] = encode_array(space.mean)
    if text.info is not None:
        announce("exporting the text encoder")
        files[text.info.file], record["text_encoder"] = export_text_encoder(
            text, options.precision, space
        )
        files[text.info.merges] = merges()

    image = None
    if pictures is not None:
        announce("exporting the image encoder")
        image = image_part(pictures)
        files[image.info.file] = image.model

    announce("writing the bundle")
    return write_bundle(
        output,
        files,
        name=options.name or output.resolve().name,
        created=_today(),
        encoder=EncoderInfo(
            architecture=trained.spec.architecture,
            parameters=sum(p.numel() for p in encoder.parameters()),
            precision=options.precision,
            embedding_dim=encoder.embedding_dim,
            opset=OPSET,
        ),
        preprocess=preprocess,
        text=TextInfo(trained.logit_scale, text.info, phrasing=text.phrasing),
        parity=record,
        training={"recipe": trained.recipe, "record": trained.record, "text": text.record},
        licence=options.licence,
        image=None if image is None else image.info,
    )


def _runners(model: bytes, precision: Precision) -> list[Runner]:
    """ONNX Runtime on the CPU, and on the GPU if there is one that runs the graph."""
    embed, name = graph_runner(model, "points")
    runners = [Runner(name, precision, embed)]
    if cuda_device_count():
        try:
            engine = open_engine(model, "cuda")
        except EngineError:
            return runners
        runners.append(
            Runner(engine.name, precision, lambda batch: engine.run({"points": batch})["embedding"])
        )
    return runners


def _require_report(
    report: ExportReport,
    encoder: PointEncoder,
    exact: onnx.ModelProto,
    graph: onnx.ModelProto,
    clouds: CheckClouds,
) -> None:
    """Let no engine pass that is below its bar, and say which layer spoils it."""
    for row in report.engines:
        if row.parity is None or holds(row.parity, row.precision):
            continue
        if graph is exact:
            layers = worst_modules(encoder, exact, clouds.prepared)
        else:
            layers = worst_layers(exact, graph, clouds.prepared)
        require_parity(row.parity, row.precision, "encoder", blame(layers))


def _shared_space(trained: Checkpoint, dim: int, text: TextPart) -> TextSpace:
    """The space that the encoder was trained for, if the text encoder's vectors belong there."""
    if trained.text_mean.shape != (dim,) or text.vectors.shape[1] != dim:
        raise TrainingError(
            f"the encoder gives {dim} numbers, its text mean has {tuple(trained.text_mean.shape)} "
            f"and the text encoder gives {text.vectors.shape[1]}: they were not trained for each "
            "other"
        )
    return TextSpace(trained.text_mean.float().numpy())


def _set_points(encoder: PointEncoder, points: int | None) -> None:
    """Have the encoder exported for another number of points than it was trained with.

    More points than it samples make its neighbourhoods denser, fewer make them coarser; how much
    accuracy that costs is not known before it is measured.

    Raises:
        InputError: it samples more points than that.
    """
    if points is None:
        return
    if points < encoder.fewest_points:
        raise InputError(
            f"--points {points}: this encoder samples {encoder.fewest_points} points of a cloud, "
            f"so it takes no fewer; it was trained with {encoder.points}."
        )
    encoder.points = points


def _bytes(model: onnx.ModelProto) -> bytes:
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error}") from error


def _today() -> str:
    """The date, or the one that a reproducible build asks for."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.date.today().isoformat()
    try:
        moment = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise TrainingError(f"SOURCE_DATE_EPOCH={epoch!r} is not a number of seconds") from error
    return moment.date().isoformat()
