"""ONNX into a TensorRT network, with errors that name the node and the module it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from cg3d_export.names import module_of
from cg3d_runtime.engines.plan import Profile
from cg3d_runtime.errors import EngineError, InputError, first_line

#: Faults shown; the rest follow from them more often than not.
_SHOWN = 5


def read_onnx(model: bytes, part: str) -> onnx.ModelProto:
    """The graph in the bytes of an ONNX file. TensorRT's own reader lets some damage pass.

    Raises:
        EngineError: the bytes are no whole ONNX graph.
    """
    try:
        proto: onnx.ModelProto = onnx.load_model_from_string(model)
        onnx.checker.check_model(proto)
    except Exception as error:  # protobuf's and the checker's errors share no other base
        raise EngineError(
            f"{part}: its {len(model)} bytes are not a whole ONNX graph ({first_line(error)}). "
            "Copy or export the bundle again."
        ) from error
    return proto


def parse_network(trt: Any, builder: Any, proto: onnx.ModelProto, logger: Any, part: str) -> Any:
    """The network of a graph, its types fixed by the graph ("strongly typed").

    Raises:
        EngineError: this TensorRT cannot take the graph; every node at fault is named.
    """
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if parser.parse(proto.SerializeToString()) and network.num_outputs:
        return network
    faults = [parser.get_error(i) for i in range(parser.num_errors)]
    lines = [_describe(fault, proto) for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"and {len(faults) - _SHOWN} more")
    raise EngineError(
        f"{part}: TensorRT {trt.__version__} cannot take the graph:\n  "
        + "\n  ".join(lines or ["it has no outputs"])
        + "\nUse a newer TensorRT, export with another encoder, or run the bundle with ONNX "
        "Runtime."
    )


def check_profiles(trt: Any, network: Any, profiles: Mapping[str, Profile], part: str) -> None:
    """Hold the profiles against the network's inputs before TensorRT does, in words.

    Raises:
        InputError: an input has no profile, a profile no input, or a shape does not fit.
    """
    inputs = {tensor.name: tensor for tensor in map(network.get_input, range(network.num_inputs))}
    if inputs.keys() != profiles.keys():
        raise InputError(
            f"{part}: the network's inputs are {', '.join(inputs)}; there are profiles for "
            f"{', '.join(profiles) or 'none'}"
        )
    for name, profile in profiles.items():
        shape = tuple(inputs[name].shape)
        for wanted in (profile.minimum, profile.optimum, profile.maximum):
            if not _fits(shape, wanted):
                raise InputError(
                    f"{part}: a profile gives the input {name!r} the shape {wanted}; the network "
                    f"takes {_shown(shape)}"
                )
        if any(
            not low <= best <= high
            for low, best, high in zip(
                profile.minimum, profile.optimum, profile.maximum, strict=True
            )
        ):
            raise InputError(
                f"{part}: the profile of {name!r} falls: {profile.minimum}, {profile.optimum}, "
                f"{profile.maximum} should be smallest, best and largest"
            )


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        found in (-1, length) and length > 0 for found, length in zip(shape, wanted, strict=True)
    )


def _shown(shape: tuple[int, ...]) -> str:
    return f"({', '.join('any' if n == -1 else str(n) for n in shape)})"


def _describe(fault: Any, proto: onnx.ModelProto) -> str:
    """One of the parser's errors: node, operator, module, reason."""
    index = fault.node()
    node = proto.graph.node[index] if 0 <= index < len(proto.graph.node) else None
    name = fault.node_name() or (node.name if node else "")
    operator = fault.node_operator() or (node.op_type if node else "")
    code = str(fault.code()).rpartition(".")[2].partition(":")[0].rstrip(">")
    reason = "" if fault.desc() in ("", "false") else f": {' '.join(fault.desc().split())[:300]}"
    if not operator:
        return f"{code}{reason}"
    module = module_of(name)
    place = f"of the module {module}" if module else "outside any module"
    return f"node {name!r} (operator {operator}, {place}): {code}{reason}"
