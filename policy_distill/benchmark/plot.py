"""Draws a benchmark: latency of one action, and throughput by batch size.

In: the record of `run_benchmark`. Out: a PNG, SVG or PDF.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policy_distill.errors import RequestError


def plot_latencies(record: dict[str, Any], path: Path) -> None:
    """Write the picture; its ending says the format.

    Raises:
        RequestError: where matplotlib is not installed, or does not know the ending.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RequestError("--plot needs matplotlib; pip install 'policy-distill[plot]'") from None
    rows = record["rows"]
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [row["name"] for row in rows]
    bars = left.barh(names, [row["act_us"] for row in rows], color="#4477aa")
    left.bar_label(bars, [f"{row['act_us']:,.2f}" for row in rows], padding=3, fontsize=8)
    left.scatter([row["act_p99_us"] for row in rows], names, marker="|", color="#cc3311", label="99th percentile")
    left.set_xscale("log")
    left.set_xlabel("µs for one action (median)")
    left.margins(x=0.2)
    left.invert_yaxis()
    left.legend(fontsize=8)
    for row in rows:
        sizes = [int(size) for size in row["batches"]]
        right.plot(sizes, list(row["batches"].values()), marker="o", markersize=3, label=row["name"])
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("batch size")
    right.set_ylabel("observations per second")
    right.legend(fontsize=7)
    figure.suptitle(f"{record['network']}, {record['n_params']:,} parameters, one thread", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path, dpi=150)
    except ValueError as error:
        raise RequestError(f"expected a --plot such as bench.svg or bench.png, found {path} ({error})") from None
