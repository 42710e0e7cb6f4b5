"""What a run will keep in memory, computed before its first step.

In: settings and spaces. Out: bytes, or an error with the number of steps that would fit, in place of a process that the
system ends without a word.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.student.features import Featurizer
from policy_distill.student.spaces import describe_space
from policy_distill.training.feature_layout import layout_of

SHARE = 0.5
"""Of the free memory, what the buffer may take: a checkpoint holds its states once more while it is written."""
CGROUP = Path("/sys/fs/cgroup")
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True)
class Footprint:
    """What the buffer of labelled states takes."""

    capacity: int
    """States that it has room for."""
    n_bytes: int
    """Bytes of the whole buffer: the states' features and the teacher's distributions."""
    free: int | None
    """Bytes free where it lies; None where that cannot be told."""
    n_stack: int = 1
    """Frames that an observation holds, kept once for all states that share them."""

    @property
    def state_bytes(self) -> int:
        """Bytes of one state, a share in the frames that it has in common with others included."""
        return -(-self.n_bytes // self.capacity)

    def __str__(self) -> str:
        free = f", {size_text(self.free)} free" if self.free is not None else ""
        shared = f" (of {self.n_stack} frames, shared)" if self.n_stack > 1 else ""
        states = f"{self.capacity:,} states{shared} of {self.state_bytes:,} bytes"
        return f"buffer: {states}, {size_text(self.n_bytes)}{free}"


def capacity_of(config: DistillConfig, n_envs: int) -> int:
    """Return the states that a run's buffer has room for."""
    capacity = min(config.buffer_size, config.timesteps + n_envs)
    return min(capacity, n_envs * config.n_steps) if config.buffer == "latest" else capacity


def check_memory(
    config: DistillConfig,
    n_envs: int,
    observed: Any,
    n_params: int,
    n_stack: int = 1,
    images: Collection[str] | None = None,
) -> Footprint:
    """Return what the buffer will take, for observations of the space `observed` and `n_params` numbers a label.

    `images` are the keys of pixels, as of `pixels.images_for`, which None asks.

    `observed` is what the student sees; of images with `n_stack` frames, each frame is counted once.

    Raises:
        RequestError: where that is more than `SHARE` of the free memory; with the states that would fit.
    """
    featurizer = Featurizer(describe_space(observed), images=images)
    layout, capacity = layout_of(featurizer, n_stack), capacity_of(config, n_envs)

    def n_bytes(states: int) -> int:
        return layout.n_bytes(states) + 4 * n_params * states

    found = Footprint(capacity, n_bytes(capacity), free_memory(config.device), layout.n_stack)
    if found.free is not None and found.n_bytes > SHARE * found.free:
        fit = max(bisect_right(range(1, capacity), SHARE * found.free, key=n_bytes), 1)
        # The states of one step of all environments come on top of `timesteps`.
        fewer = f" (or --timesteps {fit - n_envs})" if fit > n_envs else ""
        raise RequestError(
            f"expected a buffer of at most {SHARE:.0%} of the {size_text(found.free)} of free memory, found "
            f"{size_text(found.n_bytes)} for {found.capacity:,} states of {found.state_bytes:,} bytes; {fit:,} states "
            f"would fit: set --buffer-size {fit}{fewer}"
        )
    return found


def free_memory(device: str = "cpu") -> int | None:
    """Return the bytes that can still be taken: of the device, the machine, the container and the process's limit."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0]) if torch.cuda.is_available() else None
    return min((room for room in (_machine(), _container(), _process()) if room is not None), default=None)


def size_text(n_bytes: int) -> str:
    """Return bytes in words, such as `1.5 GiB`."""
    power = min(max(n_bytes, 1).bit_length() - 1, 59) // 10
    return f"{n_bytes / 1024**power:.1f} {UNITS[power]}" if power else f"{n_bytes} bytes"


def _machine() -> int | None:
    found = _fields(Path("/proc/meminfo")).get("MemAvailable:")
    return None if found is None else found * 1024


def _container() -> int | None:
    """Return what the control group leaves; what it holds in caches is given back when it is needed."""
    limit, used = _number(CGROUP / "memory.max"), _number(CGROUP / "memory.current")
    if limit is None or used is None:
        return None
    return max(limit - used + _fields(CGROUP / "memory.stat").get("inactive_file", 0), 0)


def _process() -> int | None:
    pages = _number(Path("/proc/self/statm"))
    if pages is None:
        return None
    # Where there is /proc, there are limits too; other systems have no such module.
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else max(limit - pages * os.sysconf("SC_PAGE_SIZE"), 0)


def _number(path: Path) -> int | None:
    """Return the first number in a file; None where there is none."""
    try:
        return int(path.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _fields(path: Path) -> dict[str, int]:
    """Return names and numbers of a file that has one of each a line."""
    try:
        pairs = [line.split()[:2] for line in path.read_text().splitlines()]
        return {name: int(value) for name, value in pairs if value.isdigit()}
    except (OSError, ValueError):
        return {}
