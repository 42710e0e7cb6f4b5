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


NETWORKS = "linear mlp:2 mlp:3 mlp:8 mlp:32"
"""What `write_compression` tried."""


def write_compression(path, *, proven=True, **run):
    """Write the run folder of a compression that chose mlp:2 among four: one untested, one beaten, one dropped."""
    write_run(path, student="mlp:2", **run)
    limits = {"bar": 0.95, "minimize": "params", "budget": None, "max_params": 40, "max_bytes": None, "keep_std": False}
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "student": NETWORKS, "compress": limits}))
    evaluation = json.loads((path / "evaluation.json").read_text())
    outcome = "non-inferior" if proven else "undecided"
    verdict = {**evaluation["retention"]["verdict"], "outcome": outcome}
    proof = {"retention": {**evaluation["retention"], "verdict": verdict}, "falls": evaluation["falls"]}
    front = [
        front_point("linear", 9, kept=0.4),
        front_point("mlp:2", 27, kept=0.99, proof=proof),
        front_point("mlp:3", 39, kept=1.0),
    ]
    record = {
        "bar": 0.95,
        "minimize": "params",
        "winner": "mlp:2",
        "proven": proven,
        "verdict": outcome,
        "advice": None if proven else "give the proof more --eval-episodes",
        "front": front,
        "beaten": [front_point("mlp:8", 99, kept=0.98)],
        "dropped": [
            {"spec": "mlp:32", "n_params": 387, "env_steps": 5000, "why": "mlp:8 seems to keep enough", "kept": None}
        ],
        "teacher": {"n_params": 5000, "n_bytes": 20_000},
        "env_steps": 50_000,
        "env_steps_of": {"collect": 30_000, "choose": 20_000},
        "seconds": {"collect": 5.0, "label": 1.0},
        "wall_seconds": 20.0,
        "cost_of_one": 6.0,
    }
    (path / "compression.json").write_text(json.dumps(record))
    (path / "student.safetensors").write_bytes(b"mlp:2" * 50)
    for point in front:
        (path / "students" / point["spec"]).mkdir(parents=True)
        (path / "students" / point["spec"] / "student.safetensors").write_bytes(point["spec"].encode() * 50)
    return path


def front_point(spec, n_params, *, kept, proof=None):
    """Return a student of a front as compression.json has it; without a proof it is untested."""
    untested = {"retention": {"mean": kept, "mean_low": None}, "falls": {"student": {"n": 1, "n_episodes": 20}}}
    return {
        "spec": spec,
        "n_params": n_params,
        "n_bytes": 4 * n_params,
        "macs": n_params - 2,
        "cost": float(n_params),
        **(proof or untested),
        "chosen_by": {"share": kept, "error": 0.01, "n_episodes": 20, "n_falls": 1},
        "verdict": proof["retention"]["verdict"]["outcome"] if proof else "untested",
        "tested": proof is not None,
        "env_steps": 30_000,
    }
