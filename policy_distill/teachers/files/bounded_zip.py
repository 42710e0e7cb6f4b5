"""Opens a zip of which nothing is believed: sizes, methods and names are checked before anything is unpacked.

In: a file. Out: its members' bytes. Nothing is ever written to a disk, so a member's path leads nowhere.
"""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from policy_distill.errors import RequestError

MAX_RATIO = 8
"""Bytes unpacked for each byte of the file, beyond which it is taken for a bomb; weights do not shrink to a half."""
SMALL = 2**26
"""Bytes that may be unpacked in any case."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods whose reader stops at the declared size; bzip2's and LZMA's unpack whole blocks first."""


class BoundedZip:
    """Members of one zip, by name."""

    def __init__(self, file: BinaryIO, n_bytes: int, place: str) -> None:
        self.place = place
        self._left = max(SMALL, MAX_RATIO * n_bytes)
        try:
            self._archive = zipfile.ZipFile(file)
            self.names = self._archive.namelist()
        except Exception as error:
            raise self._damaged(error) from None

    def read(self, name: str) -> bytes:
        """Return a member's bytes.

        Raises:
            RequestError: where it is damaged, encrypted, packed by a method that agents do not use, or a bomb.
        """
        try:
            info = self._archive.getinfo(name)
            if info.compress_type not in METHODS or info.flag_bits & 1:
                raise RequestError(
                    f"{self.place} has {name!r} encrypted or compressed by a method that agents do not use"
                )
            if info.file_size > self._left:
                raise RequestError(
                    f"{self.place} declares {info.file_size:,} bytes for {name!r}, too many for a file of its size; "
                    "it was not unpacked. Copy it again from its source"
                )
            self._left -= info.file_size
            return self._archive.read(info)
        except RequestError:
            raise
        except Exception as error:
            # Each packing method fails in errors of its own.
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> RequestError:
        reason = f"{type(error).__name__}: {str(error)[:80]}"
        return RequestError(f"{self.place} is truncated or damaged ({reason}); copy it again from its source")
