"""The pieces of C that a student in eight bits needs, and how numbers are written in C.

In: arrays and names. Out: C99 text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

COUNT = """\
/* A number of steps, rounded, shifted and held in a byte; what is no number counts as a large one. */
static signed char count_steps(float v, int zero) {
    int k;
    v = v < 300.0f ? (v < -300.0f ? -300.0f : v) : 300.0f;
    k = (int)(v < 0.0f ? v - 0.5f : v + 0.5f) + zero;
    return (signed char)(k > 127 ? 127 : (k < -128 ? -128 : k));
}
"""
QUANTIZE = """\
static void quantize(const float *x, signed char *q, int n, float per_step, int zero) {
    for (int i = 0; i < n; i++) q[i] = count_steps(x[i] * per_step, zero);
}
"""
QUANTIZE_EACH = """\
static void quantize_each(const float *x, signed char *q, int n, const float *per_step, int zero) {
    for (int i = 0; i < n; i++) q[i] = count_steps(x[i] * per_step[i], zero);
}
"""
DENSE_INT8 = """\
/* y = step[k] (q w) + b; w is [n_out][n_in]; b has the shift of q in it. */
static void dense_int8(const signed char *w, const float *step, const float *b, const signed char *q, float *y,
                       int n_in, int n_out) {
    for (int k = 0; k < n_out; k++) {
        int sum = 0;
        for (int i = 0; i < n_in; i++) sum += q[i] * *w++;
        y[k] = step[k] * (float)sum + b[k];
    }
}
"""
DENSE_PACKED = """\
/* As dense_int8, with weights of a few bits; the first lies in the lowest bits of a byte. */
static void dense_packed(const unsigned char *w, const float *step, const float *b, const signed char *q, float *y,
                         int n_in, int n_out, int bits) {
    const int mask = (1 << bits) - 1, sign = 1 << (bits - 1);
    unsigned long at = 0;
    for (int k = 0; k < n_out; k++) {
        int sum = 0;
        for (int i = 0; i < n_in; i++, at += (unsigned long)bits)
            sum += q[i] * ((((w[at >> 3] >> (at & 7)) & mask) ^ sign) - sign);
        y[k] = step[k] * (float)sum + b[k];
    }
}
"""
CONV_INT8 = """\
static void conv_int8(const signed char *w, const float *step, const float *b, const signed char *x, float *y, int n_in,
                      int rows, int columns, int n_out, int height, int width, int stride) {
    const int out_rows = (rows - height) / stride + 1, out_columns = (columns - width) / stride + 1;
    for (int o = 0; o < n_out; o++, w += n_in * height * width)
        for (int r = 0; r < out_rows; r++)
            for (int c = 0; c < out_columns; c++) {
                const signed char *v = w;
                int sum = 0;
                for (int i = 0; i < n_in; i++)
                    for (int dr = 0; dr < height; dr++) {
                        const signed char *line = x + (i * rows + r * stride + dr) * columns + c * stride;
                        for (int dc = 0; dc < width; dc++) sum += line[dc] * *v++;
                    }
                *y++ = step[o] * (float)sum + b[o];
            }
}
"""


def comment(text: str) -> str:
    """Return text from a file so that it stays inside a comment: no stars, and nothing that C joins lines by."""
    return "".join(letter if " " <= letter <= "~" and letter not in "*?\\" else "_" for letter in text)


def number(value: Any, double: bool = False) -> str:
    """Return a literal that C reads back to the same bits."""
    value = float(value) if double else float(np.float32(value))
    text = repr(value) if double else f"{value:.9g}"
    if not any(mark in text for mark in ".en"):
        text += ".0"
    return text if double else f"{text}f"


def array(name: str, values: np.ndarray, kind: str = "float") -> str:
    """Return a constant array; `kind` is float, double, or a C type of whole numbers."""
    flat = np.ravel(values)
    if kind in ("float", "double"):
        words = [number(value, kind == "double") for value in flat]
    else:
        words = [str(int(value)) for value in flat]
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) > 116:
            lines.append(line)
            line = "   "
        line += f" {word},"
    return f"static const {kind} {name}[{len(flat)}] = {{\n" + "\n".join([*lines, line]) + "\n};\n"
