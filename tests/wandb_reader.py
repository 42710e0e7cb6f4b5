"""Reads an offline W&B run back: LevelDB's log format over protocol buffers.

After a header of 7 bytes come blocks of 32 KiB; each chunk in them has a checksum (4 bytes), a length (2), a type (1):
1 whole, 2 first, 3 middle, 4 last. A block's last bytes, too few for a chunk's head, are padding.
"""

import json
import time
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEAD, FILE_HEAD = 32 * 1024, 7, 7


def read_records(path: Path) -> list[Record]:
    data, position, parts, records = path.read_bytes(), FILE_HEAD, b"", []
    while position + HEAD <= len(data):
        left = BLOCK - position % BLOCK
        if left < HEAD:
            position += left
            continue
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]
        if kind == 0:
            break
        parts += data[position + HEAD : position + HEAD + length]
        position += HEAD + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(parts)
            records.append(record)
            parts = b""
    return records


def read_run(folder: Path) -> dict:
    """Return history rows, config, summary, metric definitions and artifacts of the one offline run below `folder`."""
    (path,) = folder.glob("offline-run-*/run-*.wandb")
    _wait_for_the_end(path)
    run = {"history": [], "config": {}, "summary": {}, "metrics": {}, "artifacts": [], "run": None}
    for record in read_records(path):
        kind = record.WhichOneof("record_type")
        if kind == "history":
            run["history"].append(_items(record.history.item))
        elif kind == "summary":
            run["summary"] |= _items(record.summary.update)
        elif kind == "run":
            run["run"] = record.run
            run["config"] |= _items(record.run.config.update)
        elif kind == "config":
            run["config"] |= _items(record.config.update)
        elif kind == "metric":
            run["metrics"][record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "artifact":
            run["artifacts"].append(record.artifact)
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            run["artifacts"].append(record.request.log_artifact.artifact)
    return run


def _wait_for_the_end(path: Path) -> None:
    """W&B's process writes its last records a moment after it has said that the run is finished."""
    for _ in range(250):
        if any(record.WhichOneof("record_type") == "exit" for record in read_records(path)):
            return
        time.sleep(0.02)


def _items(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
