"""Names of nodes that say which module of the network they came from."""

from __future__ import annotations

import ast
from collections import Counter

import onnx

#: Where the exporter of torch notes the modules around an operator, as the text of a list.
_SCOPES = "pkg.torch.onnx.name_scopes"

#: The "module" of operators that the network runs in its own forward.
ROOT = "forward"

#: A name that the exporter gives operators which belong to no module.
_NO_MODULE = "_empty_nn_module"


def module_of(name: str) -> str:
    """The module of a node, by its name; "" if the name does not carry one.

    A name is `module/operator`: "blocks.blocks.0.attn.qkv/MatMul" belongs to the module that
    `state_dict` knows as "blocks.blocks.0.attn.qkv", "forward/TopK" to the network's own forward.
    """
    return name.rpartition("/")[0]


def name_nodes(graph: onnx.GraphProto, wrapper: str = "") -> None:
    """Name every node after its module, from the notes that the exporter left with it.

    Args:
        graph: as `torch.onnx.export` with dynamo made it, its metadata still in place.
        wrapper: attribute under which the network hangs in the module that was exported.
    """
    parameters = {tensor.name for tensor in graph.initializer if "." in tensor.name}
    taken: Counter[str] = Counter()
    for node in graph.node:
        module = _inner(_module(node, parameters), wrapper) or ROOT
        name = f"{module}/{node.op_type}"
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"


def _module(node: onnx.NodeProto, parameters: set[str]) -> str:
    notes = {entry.key: entry.value for entry in node.metadata_props}
    # The last entry is the operator in torch's graph. Modules that call functions with the weights
    # of their children leave no scope for these; the names of the weights do.
    scopes = [s for s in _scopes(notes.get(_SCOPES, "")) if not s.startswith(_NO_MODULE)]
    scope = scopes[-1] if scopes else ""
    for name in node.input:
        owner = name.rpartition(".")[0]
        if name in parameters and scope and owner.startswith(f"{scope}."):
            return str(owner)
    return scope


def _scopes(note: str) -> list[str]:
    try:
        value = ast.literal_eval(note) if note else []
    except (ValueError, SyntaxError):
        return []
    return [str(scope) for scope in value[:-1]]


def _inner(module: str, wrapper: str) -> str:
    """The path below the wrapper."""
    return module.removeprefix(f"{wrapper}.") if wrapper and module != wrapper else module
