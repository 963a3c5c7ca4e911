"""The bytes of serialised ROS messages, read number by number, each checked against what is left.

ROS 2 uses CDR (OMG, "Common Data Representation"; plain, of either byte order): numbers stand at
multiples of their size, counted from behind a header of 4 bytes. ROS 1 packs everything, lowest
byte first, and its messages' header has a sequence number.
"""

from __future__ import annotations

import struct
from typing import Any

from cg3d_runtime.errors import InputError

# The second byte of a CDR header: plain CDR, big and little endian. Others are of XCDR2 or hold
# lists of parameters; ROS 2 writes none of them.
_ORDERS = {0: ">", 1: "<"}

#: No frame or field has a longer name.
_LONGEST_STRING = 1 << 16


class Cursor:
    """A place in the bytes of one message. Made by `of_cdr` or `of_ros1`."""

    def __init__(self, data: bytes | memoryview, start: int, order: str, aligned: bool) -> None:
        self._data = memoryview(data).cast("B")
        self._start = start
        self._position = start
        self._order = order
        self._aligned = aligned

    @classmethod
    def of_cdr(cls, data: bytes | memoryview) -> Cursor:
        """Behind the header of a CDR message.

        Raises:
            InputError: it is missing or of another representation.
        """
        if len(data) < 4:
            raise InputError(f"truncated: a CDR message has a header of 4 bytes, not {len(data)}")
        if data[0] != 0 or data[1] not in _ORDERS:
            raise InputError(f"not plain CDR: its header begins {bytes(data[:2]).hex(' ')}")
        return cls(data, 4, _ORDERS[data[1]], aligned=True)

    @classmethod
    def of_ros1(cls, data: bytes | memoryview) -> Cursor:
        """At the start of a ROS 1 message."""
        return cls(data, 0, "<", aligned=False)

    def header(self) -> tuple[int, str]:
        """std_msgs/Header: the stamp in nanoseconds and the frame's name."""
        if not self._aligned:
            self.uint32("seq")
        # ROS 2 has signed seconds, ROS 1 unsigned ones.
        seconds = int(self._number("stamp.sec", "i" if self._aligned else "I"))
        nanoseconds = self.uint32("stamp.nanosec")
        return seconds * 10**9 + nanoseconds, self.string("frame_id")

    def uint8(self, what: str) -> int:
        """The next number; `what` names it in errors."""
        return int(self._number(what, "B"))

    def uint32(self, what: str) -> int:
        """The next number."""
        return int(self._number(what, "I"))

    def float64s(self, what: str, count: int) -> tuple[float, ...]:
        """The next `count` numbers; `what` names them in errors."""
        return tuple(self._number(what, "d") for _ in range(count))

    def length(self, what: str, smallest: int, most: int) -> int:
        """The length of a sequence that follows.

        Args:
            what: its name in errors.
            smallest: the bytes that an entry has at least.
            most: the most entries that can be meant.
        """
        at = self._position
        count = self.uint32(what)
        left = len(self._data) - self._position
        if count > most or count * smallest > left:
            raise InputError(f"byte {at}: {count} {what} are claimed, {left} bytes are left")
        return count

    def string(self, what: str) -> str:
        """The next text."""
        at = self._position
        length = self.length(f"characters of {what}", 1, _LONGEST_STRING)
        raw = bytes(self._take(what, length))
        try:
            # CDR counts the NUL at the end, ROS 1 has none.
            return (raw[:-1] if self._aligned and raw[-1:] == b"\0" else raw).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"byte {at}: {what} is not text") from error

    def octets(self, what: str) -> memoryview:
        """The next sequence of bytes, not copied."""
        return self._take(what, self.length(f"bytes of {what}", 1, len(self._data)))

    def _number(self, what: str, code: str) -> Any:
        size = struct.calcsize(code)
        if self._aligned:
            self._position += -(self._position - self._start) % size
        (value,) = struct.unpack(self._order + code, self._take(what, size))
        return value

    def _take(self, what: str, size: int) -> memoryview:
        end = self._position + size
        if end > len(self._data):
            raise InputError(
                f"truncated: {what} is at byte {self._position}, the message ends at "
                f"{len(self._data)}"
            )
        taken = self._data[self._position : end]
        self._position = end
        return taken
