"""How long a classic netCDF file is by its header (Unidata, NetCDF File Format Specifications)."""

from __future__ import annotations

import math
import struct

MAGIC = (b"CDF\1", b"CDF\2", b"CDF\5")

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}


def end_of_variables(head: bytes) -> int:
    """Where the last variable ends, by the file's first bytes.

    Raises ``struct.error`` where these are too few, ``LookupError`` where they make no sense.
    """
    header = _Header(head)
    records = max(0, header.count())
    lengths = []
    for _ in header.listed():
        header.skip(header.count())
        lengths.append(header.count())
    header.skip_attributes()
    end, sizes, last = 0, [], 0
    for _ in header.listed():
        header.skip(header.count())
        shape = [lengths[header.count()] for _ in range(header.count())]
        header.skip_attributes()
        item = _TYPE_SIZES[header.number(">i")]
        header.count()
        begin = header.number(header.offset_form)
        if shape[:1] == [0]:  # one part in each record
            sizes.append(math.prod(shape[1:]) * item)
            last = max(last, begin + sizes[-1])
        else:
            end = max(end, begin + math.prod(shape) * item)
    record = sizes[0] if len(sizes) == 1 else sum(map(_padded, sizes))
    return max(end, last + (records - 1) * record) if records and sizes else end


def _padded(size: int) -> int:
    return -(-size // 4) * 4


class _Header:
    """Reads the header's numbers one after the other."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._place = len(MAGIC[0])
        self._count_form = ">q" if head.startswith(MAGIC[2]) else ">i"
        self.offset_form = ">i" if head.startswith(MAGIC[0]) else ">q"

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._head, self._place)
        self._place += struct.calcsize(form)
        return int(value)

    def count(self) -> int:
        return self.number(self._count_form)

    def listed(self) -> range:
        """Of a list: its tag, and how many there are."""
        self.number(">i")
        return range(self.count())

    def skip(self, size: int) -> None:
        self._place += _padded(size)

    def skip_attributes(self) -> None:
        for _ in self.listed():
            self.skip(self.count())
            item = _TYPE_SIZES[self.number(">i")]
            self.skip(self.count() * item)
