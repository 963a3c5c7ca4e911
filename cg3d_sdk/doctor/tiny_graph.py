"""The smallest network worth trying, written without the package onnx."""

from __future__ import annotations

#: onnx.proto: field numbers of the messages below, and what ONNX calls float32.
_FLOAT = 1


def tiny_graph() -> bytes:
    """An ONNX file: "y" (2, 2) float32 is the matrix product of "x" (2, 2) with itself, plus "x".

    Source: ModelProto and what it holds, in onnx/onnx.proto of ONNX.
    """
    shape = b"".join(_message(1, _number(1, 2)) for _ in range(2))
    tensor = _message(1, _number(1, _FLOAT) + _message(2, shape))

    def value(name: str) -> bytes:
        return _text(1, name) + _message(2, tensor)

    product = _text(1, "x") + _text(1, "x") + _text(2, "xx") + _text(4, "MatMul")
    total = _text(1, "xx") + _text(1, "x") + _text(2, "y") + _text(4, "Add")
    graph = (
        _message(1, product)
        + _message(1, total)
        + _text(2, "tiny")
        + _message(11, value("x"))
        + _message(12, value("y"))
    )
    opset = _text(1, "") + _number(2, 13)
    return _number(1, 8) + _message(7, graph) + _message(8, opset)


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
