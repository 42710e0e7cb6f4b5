"""Weights of four bits, or of the three values -1, 0 and 1: how they are packed, and what they take. NumPy alone.

In: whole numbers. Out: bytes, and back. The layers are those of `quantization`, with fewer values for a weight; the
first one and all inputs keep eight bits, as in Kresse et al. 2025 (arXiv 2511.07046).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from policy_distill.student.quantization import QuantizedLayer

BITS = {"int4": 4, "ternary": 2}
"""Bits of a weight after the first layer, by the name of the method."""
LIMITS = {8: 127, 4: 7, 2: 1}
"""The largest size of a weight, in counts, by its bits."""


@dataclass(frozen=True)
class LowBitLayers:
    """A network whose layers have weights of eight, four or two bits."""

    layers: Mapping[int, QuantizedLayer]
    """By their place in the plan; `compile_quantized` makes a function of them."""
    bits: Mapping[int, int]
    """A key of `LIMITS` for each."""

    def __post_init__(self) -> None:
        for place, layer in self.layers.items():
            most = int(np.abs(layer.weight.astype(np.int16)).max())
            if most > LIMITS[self.bits[place]]:
                raise ValueError(f"layer {place} has weights of {most} counts, too large for {self.bits[place]} bits")

    @property
    def n_bytes(self) -> int:
        """Bytes of packed weights, biases and steps: what an artefact holds."""
        total = 0
        for place, layer in self.layers.items():
            total += len(pack(layer.weight, self.bits[place])) + layer.bias.nbytes + layer.output_step.nbytes
            total += 0 if layer.input_scale is None else layer.input_scale.nbytes
        return total


def pack(counts: np.ndarray, bits: int) -> np.ndarray:
    """Return whole numbers, row after row, in uint8: the first lies in the lowest bits, as two's complement.

    Raises:
        ValueError: for bits that do not divide a byte, or numbers that do not fit.
    """
    if bits not in LIMITS:
        raise ValueError(f"expected {', '.join(map(str, LIMITS))} bits, found {bits}")
    flat = counts.ravel().astype(np.int16)
    if flat.size and not -(2 ** (bits - 1)) <= int(flat.min()) <= int(flat.max()) < 2 ** (bits - 1):
        raise ValueError(f"expected numbers of {bits} bits, found {flat.min()} to {flat.max()}")
    a_byte = 8 // bits
    padded = np.zeros(-(-flat.size // a_byte) * a_byte, np.uint8)
    padded[: flat.size] = flat & (2**bits - 1)
    shifts = np.arange(a_byte, dtype=np.uint8) * np.uint8(bits)
    return np.bitwise_or.reduce(padded.reshape(-1, a_byte) << shifts, axis=1).astype(np.uint8)


def unpack(packed: np.ndarray, n: int, bits: int) -> np.ndarray:
    """Return the first `n` whole numbers of what `pack` made, int8 `[n]`."""
    shifts = np.arange(8 // bits, dtype=np.uint8) * np.uint8(bits)
    # Up to the highest bits and down again, so that the sign is carried along.
    raised = (packed[:, None] >> shifts << np.uint8(8 - bits)).astype(np.uint8).ravel()[:n]
    return raised.view(np.int8) >> np.int8(8 - bits)
