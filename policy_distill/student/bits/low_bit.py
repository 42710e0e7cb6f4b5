"""Weights of four bits, or of the three values -1, 0 and 1: how they are packed. NumPy alone.

In: whole numbers. Out: bytes, and back. The layers are those of `quantization`, with fewer values for a weight; the
first one and all inputs keep eight bits, as in Kresse et al. 2025 (arXiv 2511.07046).
"""

from __future__ import annotations

import numpy as np

BITS = {"int4": 4, "ternary": 2}
"""Bits of a weight after the first layer, by the name of the method."""
LIMITS = {8: 127, 4: 7, 2: 1}
"""The largest size of a weight, in counts, by its bits."""


def pack_bits(counts: np.ndarray, bits: int) -> np.ndarray:
    """Return whole numbers, row after row, in uint8: the first lies in the lowest bits, as two's complement.

    Raises:
        ValueError: for bits that are no key of `LIMITS`, or numbers that do not fit.
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


def unpack_bits(packed: np.ndarray, n: int, bits: int) -> np.ndarray:
    """Return the first `n` whole numbers of what `pack_bits` made, int8 `[n]`."""
    shifts = np.arange(8 // bits, dtype=np.uint8) * np.uint8(bits)
    # Up to the highest bits and down again, so that the sign is carried along.
    raised = (packed[:, None] >> shifts << np.uint8(8 - bits)).astype(np.uint8).ravel()[:n]
    return raised.view(np.int8) >> np.int8(8 - bits)
