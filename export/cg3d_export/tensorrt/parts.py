"""What of a bundle becomes an engine: its graphs, their precision and their shapes."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import onnx

from cg3d_export.bank import bank_graph, encoder_graph_of, fused_graph
from cg3d_export.operators import TENSORRT, operator_table, refused
from cg3d_export.precision import half_products
from cg3d_export.tensorrt.build import batch_profiles
from cg3d_export.tensorrt.inspect import PRODUCTS, is_quantised, product_types
from cg3d_export.tensorrt.options import BuildOptions
from cg3d_export.tensorrt.parse import read_onnx
from cg3d_export.types import TypeRow, node_types, precision_table
from cg3d_runtime.bundle import Bundle
from cg3d_runtime.engines.plan import Part, Precision, Profile
from cg3d_runtime.errors import EngineError, InputError


@dataclass(frozen=True)
class PartToBuild:
    """A graph that an engine is built from.

    Attributes:
        part: which of the bundle's networks it is.
        precision: of its products.
        model: the ONNX file.
        profiles: input -> its shapes.
        outputs: names of what it gives.
        nodes: in the graph.
        products: type -> how many products work in it, e.g. {"FP16": 23, "FP32": 11}.
        table: what runs in which type, by module.
        refused: version of TensorRT -> what it has against the graph, by its published table.
    """

    part: Part
    precision: Precision
    model: bytes
    profiles: dict[str, Profile]
    outputs: tuple[str, ...]
    nodes: int
    products: dict[str, int]
    table: tuple[TypeRow, ...]
    refused: dict[str, tuple[str, ...]]

    @property
    def onnx_sha256(self) -> str:
        """Of `model`."""
        return hashlib.sha256(self.model).hexdigest()


def parts_to_build(
    bundle: Bundle, precision: Precision, options: BuildOptions, fuse: bool
) -> tuple[PartToBuild, ...]:
    """The engines of a bundle: encoder, bank, text encoder if there is one, and the fused one.

    `precision` is the encoder's. The bank is FP32, and the text encoder stays as it was exported:
    its weights may be FP16, its products are FP32.

    Raises:
        InputError: the precision cannot be had from what the bundle holds.
        BundleError: the bundle is damaged.
        EngineError: a graph of the bundle is not one that engines can be built from.
    """
    encoder = _in_precision(encoder_graph_of(bundle), bundle, precision)
    parts = [
        _part("encoder", precision, encoder, options),
        _part("bank", "fp32", bank_graph(bundle), options),
    ]
    text = bundle.manifest.text.encoder
    if text is not None:
        graph = read_onnx(bundle.bytes(text.file), "text_encoder")
        parts.append(_part("text_encoder", _precision_of(graph), graph, options))
    if fuse:
        parts.append(_part("recognizer", precision, fused_graph(bundle, encoder), options))
    return tuple(parts)


def _in_precision(
    encoder: onnx.ModelProto, bundle: Bundle, precision: Precision
) -> onnx.ModelProto:
    has = bundle.manifest.encoder.precision
    if has == precision:
        return encoder
    if has == "fp32" and precision in ("fp16", "bf16"):
        return half_products(encoder, precision)
    raise InputError(
        f"{bundle.root} holds its encoder in {has}, and an engine in {precision} cannot be made of "
        f"that: leave --precision out, or export the checkpoint again with --precision {precision} "
        "(a bundle in fp32 can become fp16 or bf16)."
    )


def _precision_of(graph: onnx.ModelProto) -> Precision:
    """What a graph's products work in."""
    types = set(product_types(graph).values())
    if is_quantised(graph):
        return "int8"
    if "Half" in types:
        return "fp16"
    return "bf16" if "BFloat16" in types else "fp32"


def _products(graph: onnx.ModelProto) -> dict[str, int]:
    kinds = Counter(node.type for node in node_types(graph) if node.operator in PRODUCTS)
    return dict(sorted(kinds.items()))


def _part(
    part: Part, precision: Precision, graph: onnx.ModelProto, options: BuildOptions
) -> PartToBuild:
    try:
        table, products = precision_table(graph), _products(graph)
    except onnx.shape_inference.InferenceError as error:
        raise EngineError(
            f"{part}: its graph contradicts itself ({' '.join(str(error).split())[:300]}). Export "
            "the bundle again."
        ) from error
    operators = operator_table(graph)
    return PartToBuild(
        part,
        precision,
        graph.SerializeToString(deterministic=True),
        batch_profiles(graph, options, part),
        tuple(value.name for value in graph.graph.output),
        len(graph.graph.node),
        products,
        table,
        {version: refused(operators, version) for version in TENSORRT},
    )
