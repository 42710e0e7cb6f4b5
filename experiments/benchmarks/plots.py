"""Pictures of the benchmarks' figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot_speed(records: dict[str, Any], path: Path) -> None:
    """Draw, for each task, where our time goes beside what the others take."""
    figure, axes = plt.subplots(1, len(records), figsize=(3.2 * len(records), 4), layout="constrained", squeeze=False)
    for axis, record in zip(axes[0], records.values(), strict=True):
        names, bottom = list(record["seconds"]), 0.0
        for part, value in record["stages"].items():
            axis.bar(names.index("policy-distill"), value, bottom=bottom, label=part)
            bottom += value
        for index, name in enumerate(names):
            if name != "policy-distill":
                values = sorted(record["seconds"][name])
                axis.bar(index, values[len(values) // 2], color="lightgrey")
        axis.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
        axis.set_title(f"{record['env_id']}\n{record['timesteps']:,} steps")
        axis.set_ylabel("seconds")
    axes[0, -1].legend(fontsize="small")
    _save(figure, path)


def plot_learning(records: dict[str, Any], path: Path) -> None:
    """Draw each seed's return against environment steps, beside the teacher's."""
    figure, axes = plt.subplots(1, len(records), figsize=(5 * len(records), 4), layout="constrained", squeeze=False)
    for axis, record in zip(axes[0], records.values(), strict=True):
        for color, (method, runs) in zip(("tab:blue", "tab:orange"), record["runs"].items(), strict=False):
            for index, points in enumerate(runs):
                steps, returns = ([point[key] for point in points] for key in ("env_steps", "return"))
                axis.plot(steps, returns, color=color, alpha=0.6, label=method if index == 0 else None)
        axis.axhline(record["teacher"], color="black", linestyle="--", label="teacher")
        axis.set(title=record["env_id"], xlabel="environment steps", ylabel="return")
        axis.legend()
    _save(figure, path)


def plot_growth(curves: dict[str, Any], path: Path) -> None:
    """Draw cost against size, with a linear one for comparison."""
    figure, axes = plt.subplots(1, len(curves), figsize=(3.5 * len(curves), 3.5), layout="constrained", squeeze=False)
    for axis, (name, points) in zip(axes[0], curves.items(), strict=True):
        sizes = [point["size"] for point in points]
        axis.loglog(sizes, [point["microseconds"] for point in points], marker="o", label="measured")
        axis.loglog(sizes, [points[0]["microseconds"] * size / sizes[0] for size in sizes], ":", label="linear")
        axis.set(xlabel=name, ylabel="microseconds")
        axis.legend()
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=120)
    plt.close(figure)
