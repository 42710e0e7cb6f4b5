"""Networks drawn weight by weight, and the paths of the landers that they fly."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from policy_distill import load_student, load_teacher

FIRST_SEED = 1_000_000
INK, BLUE, RED = "#1f2933", "#3f51b5", "#d1495b"


def draw(run: Path, agent: Path, out: Path, n_episodes: int) -> None:
    """Write the picture: above the networks, below the landings of the same seeds."""
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    student = load_student(run / "student.safetensors")
    teacher: Any = load_teacher(agent, env="LunarLander-v3")
    proof = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["retention"]
    weights = [
        [layer.weight.detach().numpy() for layer in _linear(teacher.policy)],
        [student.tensors[layer["weight"]] for layer in student.plan.layers if layer["op"] == "linear"],
    ]
    names = [f"teacher: {teacher.n_params:,} parameters", f"student: {student.n_params:,} parameters"]
    figure, axes = plt.subplots(2, 2, figsize=(10, 5.6), height_ratios=(1.25, 1), facecolor="white")
    for column, (policy, layers, name) in enumerate(zip((teacher, student), weights, names, strict=True)):
        _network(axes[0][column], layers)
        axes[0][column].set_title(name, color=INK, fontsize=13)
        returns = _landings(axes[1][column], policy, n_episodes)
        said = f"mean return {np.mean(returns):.0f} in these {n_episodes} episodes"
        axes[1][column].set_xlabel(said, color=INK, fontsize=10)
    kept = f"proven: keeps {proof['mean']:.3f} of the gain over random, at least {proof['mean_low']:.3f} (95%)"
    figure.suptitle(f"LunarLander-v3 · {kept}", color=INK, fontsize=12, y=0.99)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    plt.close(figure)
    # A palette makes a third of it.
    Image.open(drawn).convert("RGB").quantize(96).save(out, optimize=True)


def _linear(policy: Any) -> list[Any]:
    """Return the linear layers from observation to action of an actor-critic policy."""
    hidden = [layer for layer in policy.mlp_extractor.policy_net if hasattr(layer, "weight")]
    return [*hidden, policy.action_net]


def _network(ax: Any, layers: list[NDArray[np.float32]]) -> None:
    """Draw each weight `[outputs, inputs]` as a line, the stronger the darker."""
    from matplotlib.collections import LineCollection

    sizes = [layers[0].shape[1], *(layer.shape[0] for layer in layers)]
    places = [[(x, (i - (n - 1) / 2) / max(n, 12) * 1.0) for i in range(n)] for x, n in enumerate(sizes)]
    for x, layer in enumerate(layers):
        strength = np.abs(layer) / np.abs(layer).max()
        lines = [(places[x][i], places[x + 1][o]) for o in range(layer.shape[0]) for i in range(layer.shape[1])]
        shade = np.clip(strength.ravel() * min(1.0, 40 / layer.size**0.5 / 4), 0.03, 1)
        signs = [BLUE if weight > 0 else RED for weight in layer.ravel()]
        ax.add_collection(LineCollection(lines, colors=signs, alpha=shade, linewidths=0.3 + 1.6 * strength.ravel()))
    for column in places:
        ax.scatter(*zip(*column, strict=True), s=14 if len(column) > 12 else 40, color=INK, zorder=3)
    ax.set_xlim(-0.2, len(sizes) - 0.8)
    ax.set_ylim(-0.56, 0.56)
    ax.axis("off")


def _landings(ax: Any, policy: Any, n_episodes: int) -> list[float]:
    """Draw the lander's path in each episode, and return the returns."""
    env, returns = gymnasium.make("LunarLander-v3"), []
    for seed in range(FIRST_SEED, FIRST_SEED + n_episodes):
        obs, _ = env.reset(seed=seed)
        path, total, ended = [obs[:2]], 0.0, False
        while not ended:
            action, _ = policy.predict(obs[None], deterministic=True)
            obs, reward, terminated, truncated, _ = env.step(action[0])
            path.append(obs[:2])
            total += float(reward)
            ended = terminated or truncated
        returns.append(total)
        ax.plot(*np.transpose(path), color=BLUE, alpha=0.6, linewidth=1.1)
    env.close()
    ax.axhline(0, color=INK, linewidth=1)
    ax.scatter([-0.2, 0.2], [0, 0], marker="|", color=RED, s=120, zorder=3)
    ax.set_xlim(-0.8, 0.8)
    ax.set_ylim(-0.1, 1.6)
    ax.set_xticks([])
    ax.set_yticks([])
    return returns
