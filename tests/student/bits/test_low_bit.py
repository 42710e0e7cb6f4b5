from dataclasses import replace

import numpy as np
import pytest

from policy_distill.student.bits.low_bit import LIMITS, pack_bits, unpack_bits
from policy_distill.student.bits.quantization import n_bytes, quantize_layer


def test_numbers_are_packed_as_by_hand():
    assert pack_bits(np.array([1, -1, 7, -8, 3], np.int8), 4).tolist() == [0xF1, 0x87, 0x03]
    assert pack_bits(np.array([[1, -1], [0, 1], [-1, 0]], np.int8), 2).tolist() == [0b01001101, 0b00000011]
    assert pack_bits(np.array([-128, 127], np.int8), 8).tolist() == [0x80, 0x7F]


@pytest.mark.parametrize("bits", LIMITS)
@pytest.mark.parametrize("n", [0, 1, 5, 64])
def test_what_is_packed_comes_out_again(bits, n):
    counts = np.random.default_rng(n).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), n).astype(np.int8)
    packed = pack_bits(counts, bits)
    assert packed.nbytes == -(-n * bits // 8)
    assert np.array_equal(unpack_bits(packed, n, bits), counts)


def test_numbers_that_do_not_fit_are_refused():
    for counts, bits, message in (([8], 4, "4 bits, found 8"), ([-3, 0], 2, "2 bits, found -3"), ([0], 3, "found 3")):
        with pytest.raises(ValueError, match=message):
            pack_bits(np.array(counts), bits)


def test_bytes_are_those_of_packed_weights_biases_and_steps():
    rng = np.random.default_rng(0)
    shapes = ((5, 3), (3, 5))
    first, second = (
        quantize_layer(rng.normal(size=shape).astype(np.float32), np.zeros(shape[0], np.float32), -1.0, 1.0)
        for shape in shapes
    )
    packed = replace(second, weight=np.sign(second.weight), bits=2)
    # 15 weights in bytes, 15 in two bits, and two floats for each of 8 outputs.
    assert n_bytes({0: first, 2: packed}) == 15 + 4 + 8 * 8
    assert len(pack_bits(packed.weight, 2)) == 4
    scaled = replace(first, input_scale=np.ones(3, np.float32))
    assert n_bytes({0: scaled, 2: packed}) == 15 + 4 + 8 * 8 + 3 * 4
