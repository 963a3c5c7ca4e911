"""CLIP's preparation of a picture, in numpy: shortest side to size, centre, normalise.

Source: `open_clip.transform.image_transform` of a model with a square input, which resizes with
Pillow's bicubic filter (Pillow, src/libImaging/Resample.c, HPND): two passes of whole numbers, each
rounded to 8 bits, the rows first. The result is the same to the bit, but where Pillow 13 takes the
columns first, as it does for some sizes; there a pixel may differ by rounding.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cg3d_runtime.errors import InputError

#: Bits behind the point in Pillow's weights, and the reach of its bicubic filter.
_BITS, _REACH = 22, 2.0

_MOST_PIXELS = 1 << 28


def prepare_image(
    image: ArrayLike,
    size: int,
    mean: ArrayLike,
    std: ArrayLike,
) -> NDArray[np.float32]:
    """A picture for an image encoder.

    Args:
        image: (H, W, 3) uint8, red, green, blue; a fourth channel is left away, and (H, W) is grey.
        size: pixels of the encoder's square input.
        mean: (3,), taken off the channels in [0, 1].
        std: what they are divided by then.

    Returns:
        (3, size, size) float32.

    Raises:
        InputError: another shape or dtype, or a side that is too short or too long for the other.
    """
    pixels = as_pixels(image)
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short != size:
        tall, wide = (size * side // short if side != short else size for side in (height, width))
        pixels = resized(pixels, tall, wide)
    top, left = (round((side - size) / 2.0) for side in pixels.shape[:2])
    square = pixels[top : top + size, left : left + size]
    scaled = square.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    scaled -= np.asarray(mean, np.float32)[:, None, None]
    scaled /= np.asarray(std, np.float32)[:, None, None]
    return np.ascontiguousarray(scaled)


def as_pixels(image: ArrayLike) -> NDArray[np.uint8]:
    """Any picture as (H, W, 3) uint8.

    Raises:
        InputError: no picture, or one whose shortest side would grow to a huge longest one.
    """
    try:
        pixels = np.asarray(image)
    except ValueError as error:
        raise InputError(f"the picture is not an array ({error})") from error
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise InputError(
            f"a picture must be (H, W, 3) uint8, red, green, blue, not {pixels.dtype} of shape "
            f"{pixels.shape}"
        )
    sides = pixels.shape[:2]
    if min(sides) < 1 or max(sides) > 100 * min(sides) or sides[0] * sides[1] > _MOST_PIXELS:
        raise InputError(
            f"a picture of {sides[1]} x {sides[0]} pixels is not used: its sides should differ by "
            f"at most 100 times, and {_MOST_PIXELS} pixels are the most"
        )
    return pixels[:, :, :3]


def resized(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, C) uint8 to (height, width, C), as Pillow's `resize(..., BICUBIC)`."""
    return _columns(_columns(pixels.transpose(1, 0, 2), width).transpose(1, 0, 2), height)


def _columns(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """One pass, along the first axis."""
    if len(pixels) == size:
        return pixels
    out = np.empty((size, *pixels.shape[1:]), np.uint8)
    for row, (start, weights) in enumerate(_weights(len(pixels), size)):
        part = pixels[start : start + len(weights)].astype(np.int64)
        total = np.tensordot(weights, part, axes=1) + (1 << (_BITS - 1))
        out[row] = np.clip(total >> _BITS, 0, 255)
    return out


@lru_cache(maxsize=16)
def _weights(old: int, new: int) -> tuple[tuple[int, NDArray[np.int64]], ...]:
    """For each new pixel the first old one it is made of, and the weights of that and the next."""
    scale = old / new
    stretch = max(scale, 1.0)
    reach = _REACH * stretch
    rows = []
    for place in range(new):
        centre = (place + 0.5) * scale
        start = max(0, int(centre - reach + 0.5))
        end = min(old, int(centre + reach + 0.5))
        inverse = 1.0 / stretch
        raw = [_bicubic((x - centre + 0.5) * inverse) for x in range(start, end)]
        total = 0.0
        for weight in raw:  # in this order, as Pillow adds them
            total += weight
        scaled = [weight / total * (1 << _BITS) for weight in raw]
        whole = [int(w - 0.5) if w < 0 else int(w + 0.5) for w in scaled]
        rows.append((start, np.array(whole, np.int64)))
    return tuple(rows)


def _bicubic(x: float) -> float:
    x, a = math.fabs(x), -0.5
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    if x < 2.0:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0
