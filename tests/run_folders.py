"""Writes run folders as a distillation leaves them, without one."""

import json

import numpy as np

from policy_distill.config import DistillConfig
from policy_distill.evaluation.episodes import Evaluation
from policy_distill.evaluation.paired import Comparison
from policy_distill.evaluation.proof.kept import retention
from policy_distill.evaluation.proof.scale import Scale
from policy_distill.system.records import dump


def write_run(path, *, env_id="Lander-v3", student="mlp:8", seed=0, n_episodes=60, n_rows=30, loss=0.02, **config):
    """Write config.json, metrics.jsonl and evaluation.json; the student loses `loss` of the gain."""
    rng = np.random.default_rng(seed)
    path.mkdir(parents=True)
    settings = {**DistillConfig(timesteps=30_000, seed=seed).to_json(), **config}
    teacher = {"algorithm": "ppo", "source": "teacher.zip", "sha256": "0" * 64}
    identity = {"env_id": env_id, "student": student, "teacher": teacher, "config": settings, "library_versions": {}}
    (path / "config.json").write_text(json.dumps(identity))
    rows = [
        {
            "time/env_steps": 1000 * i,
            "train/kl": 1 / (i + 1),
            "train/agreement": i / n_rows,
            "rollout/student_return": 200.0 * i / n_rows,
            **{f"time/{stage}_seconds": 0.1 * i for stage in ("collect", "label", "train")},
        }
        for i in range(1, n_rows + 1)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    evaluation = evaluation_of(rng, n_episodes, loss, env_id)
    n_params = 10 * sum(int(width) for width in student.partition(":")[2].split(","))
    evaluation["student"] |= {"n_params": n_params, "n_bytes": 4 * n_params, "macs": n_params}
    evaluation["compression"] = {"params": 5000 / n_params, "bytes": 5000 / n_params}
    (path / "evaluation.json").write_text(json.dumps(evaluation))
    return path


def evaluation_of(rng, n_episodes, loss, env_id):
    luck = rng.normal(0, 15, n_episodes)
    returns = {
        "teacher": 250 + luck,
        "student": 250 - loss * 400 + luck + rng.normal(0, 5, n_episodes),
        "random": rng.normal(-150, 30, n_episodes),
    }
    lengths = np.ones(n_episodes, np.int64)
    runs = {name: Evaluation(env_id, 0, values, lengths, 1.0) for name, values in returns.items()}
    scale = Scale(returns["teacher"], returns["random"])
    kept = retention(returns["student"], returns["teacher"], returns["random"], scale=scale)
    found = Comparison(**runs, retention=kept, scale=scale)
    return {
        "env_id": env_id,
        "seed": 0,
        "n_episodes": n_episodes,
        **{name: run.to_json() for name, run in runs.items()},
        "teacher": {**runs["teacher"].to_json(), "n_params": 5000, "n_bytes": 20_000},
        "retention": found.retention.to_json(),
        "falls": found.retention.falls_json(),
        "scale": dump(scale.record()),
        "selection": {"return": returns["student"][:10].mean(), "retention": 1 - loss, "n_episodes": 10},
        "agreement": 0.97,
        "kl": 0.01,
        "episodes": {name: values.tolist() for name, values in returns.items()},
        "env_steps": 30_000,
        "wall_seconds": 20.0,
    }
