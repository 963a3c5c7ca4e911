"""Arrays as .npy bytes: written the same way every time, read without trust and without a copy."""

from __future__ import annotations

import io
import math
import mmap
import tokenize
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cg3d_runtime.errors import BundleError

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

#: A header of version 1 ends here; longer ones numpy refuses as well.
_MOST_HEADER = 1 << 17


def encode_array(array: NDArray[Any]) -> bytes:
    """The bytes of a .npy file, in C order."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), (1, 0), allow_pickle=False)
    return buffer.getvalue()


def npy_header(array: NDArray[Any]) -> bytes:
    """What stands before the numbers of a .npy file, for writing them piece by piece in C order."""
    buffer = io.BytesIO()
    shape = np.lib.format.header_data_from_array_1_0(np.empty((0, *array.shape[1:]), array.dtype))
    np.lib.format.write_array_header_1_0(buffer, {**shape, "shape": array.shape})
    return buffer.getvalue()


def decode_array(data: bytes | mmap.mmap, where: str) -> NDArray[Any]:
    """Read a .npy file whose header may claim anything.

    The array is a read-only view of `data`: nothing is allocated on the header's word.

    Args:
        data: the file's bytes, read or mapped.
        where: the file, for errors.

    Raises:
        BundleError: no .npy file, a pickled or non-numeric one, or one whose header does not
            match its size.
    """
    buffer = io.BytesIO(data[:_MOST_HEADER])  # not a copy of all that is mapped
    try:
        version = np.lib.format.read_magic(buffer)
        if version not in _HEADERS:
            raise ValueError(f"its version is {version}")
        shape, fortran, dtype = _HEADERS[version](buffer)
    except (ValueError, TypeError, SyntaxError, KeyError, OverflowError) as error:
        raise _damaged(where, str(error)) from error
    except (RecursionError, MemoryError, tokenize.TokenError) as error:
        raise _damaged(where, "its header cannot be parsed") from error
    if dtype.kind not in "fiub":
        raise _damaged(where, f"it holds {str(dtype)[:60]}, not numbers")
    if any(length < 0 for length in shape):
        raise _damaged(where, "a dimension in its header is negative")
    start, count = buffer.tell(), math.prod(shape)
    if count * dtype.itemsize != len(data) - start:
        raise _damaged(
            where,
            f"its header promises {count * dtype.itemsize} bytes of numbers, "
            f"the file holds {len(data) - start}",
        )
    flat: NDArray[Any] = np.frombuffer(data, dtype, count, start)
    return flat.reshape(shape, order="F" if fortran else "C")


def _damaged(where: str, fault: str) -> BundleError:
    return BundleError(
        f"{where} is not a usable .npy file: {fault[:200]}. The bundle is damaged: copy or export "
        "it again."
    )
