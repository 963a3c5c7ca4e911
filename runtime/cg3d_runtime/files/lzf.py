"""The LZF compression of `binary_compressed` PCD files (liblzf's stream format, BSD)."""

from __future__ import annotations

from cg3d_runtime.errors import InputError

# Three bytes of input make at most 264 bytes of output.
LARGEST_RATIO = 88


def decompress(data: bytes, size: int) -> bytes:
    """Undo LZF.

    Args:
        data: the compressed stream.
        size: how many bytes it must give; checked against what the stream can hold beforehand.

    Raises:
        InputError: the stream is damaged or does not give `size` bytes.
    """
    if size > LARGEST_RATIO * len(data):
        raise InputError(f"{len(data)} compressed bytes cannot hold {size}")
    out = bytearray()
    position = 0
    try:
        while position < len(data):
            control = data[position]
            position += 1
            if control < 32:  # a run of control + 1 literal bytes
                end = position + control + 1
                out += data[position:end]
                position = end
                continue
            length = (control >> 5) + 2
            if length == 9:  # all three bits set: the rest of the length follows
                length += data[position]
                position += 1
            start = len(out) - ((control & 0x1F) << 8) - data[position] - 1
            position += 1
            if start < 0:
                raise InputError("the compressed data points before its beginning")
            chunk = out[start : start + length]
            if len(chunk) < length:  # the copy overlaps what it writes: a repeating pattern
                chunk = (chunk * (length // len(chunk) + 1))[:length]
            out += chunk
    except IndexError:
        raise InputError("the compressed data breaks off") from None
    if position != len(data) or len(out) != size:
        raise InputError(f"the compressed data gives {len(out)} bytes where {size} are promised")
    return bytes(out)
