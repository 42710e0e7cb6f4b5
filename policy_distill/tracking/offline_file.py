"""Makes an offline W&B run ready for upload from where its folder lies now.

In: a `.wandb` file, LevelDB's log format over protocol buffers. Out: the same with artifacts' files looked for in the
folder as it is today, since W&B writes down where they lay; and with the teacher marked as used by the run, a link that
offline W&B cannot make itself.

After a header of 7 bytes come blocks of 32 KiB; each chunk in them has a checksum (4 bytes), a length (2), a type (1):
1 whole, 2 first, 3 middle, 4 last. A block's last bytes, too few for a chunk's head, are padding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from policy_distill.student.file import write_atomically

BLOCK, HEAD, FILE_HEAD = 32 * 1024, 7, 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def prepare(path: Path, old_folder: str, new_folder: str, used: str = "teacher") -> None:
    """Rewrite a `.wandb` file in place.

    Args:
        path: the file.
        old_folder: where the run's W&B folder lay when it was written.
        new_folder: where it lies now.
        used: the type of the artifacts that the run uses.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    data = path.read_bytes()
    records = []
    for content in read_chunks(data):
        record = Record()
        record.ParseFromString(content)
        if record.WhichOneof("record_type") == "artifact":
            record.artifact.use_after_commit |= record.artifact.type == used
            for entry in record.artifact.manifest.contents:
                entry.local_path = _moved(entry.local_path, old_folder, new_folder)
            manifest = record.artifact.manifest
            manifest.manifest_file_path = _moved(manifest.manifest_file_path, old_folder, new_folder)
        records.append(record.SerializeToString())
    write_atomically(path, data[:FILE_HEAD] + write_chunks(records))


def read_chunks(data: bytes) -> Iterator[bytes]:
    """Yield the records of a file; a last one that was cut off is left out."""
    position, parts = FILE_HEAD, b""
    while position + HEAD <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEAD:
            position += left
            continue
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]
        content = data[position + HEAD : position + HEAD + length]
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or len(content) < length:
            return
        parts = content if kind in (WHOLE, FIRST) else parts + content
        position += HEAD + length
        if kind in (WHOLE, LAST):
            yield parts


def write_chunks(records: Iterable[bytes]) -> bytes:
    """Return what follows the header of a file with these records."""
    out = bytearray(FILE_HEAD)
    for record in records:
        rest, first = record, True
        while first or rest:
            left = BLOCK - len(out) % BLOCK
            if left < HEAD:
                out += bytes(left)
                left = BLOCK
            part, rest = rest[: left - HEAD], rest[left - HEAD :]
            kind = (LAST if not rest else MIDDLE) if not first else (WHOLE if not rest else FIRST)
            checksum = zlib.crc32(part, zlib.crc32(bytes([kind])))
            out += checksum.to_bytes(4, "little") + len(part).to_bytes(2, "little") + bytes([kind]) + part
            first = False
    return bytes(out[FILE_HEAD:])


def _moved(path: str, old_folder: str, new_folder: str) -> str:
    return new_folder + path[len(old_folder) :] if old_folder and path.startswith(old_folder) else path
