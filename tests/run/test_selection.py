import numpy as np
import pytest
import torch

from policy_distill.config import DistillConfig
from policy_distill.environments.open import open_environments
from policy_distill.evaluation.episodes import Evaluation
from policy_distill.losses.kl import forward_kl
from policy_distill.run.distill import distill
from policy_distill.run.judging import selection as module
from policy_distill.run.judging.selection import N_CANDIDATES, Selection
from policy_distill.run.session import Session
from policy_distill.seeds import PROBE, SELECTION, TRAINING
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import Corridor, corridor_teacher


def begun(**settings):
    config = DistillConfig(n_steps=8, n_envs=2, timesteps=160, **settings)
    session = Session(corridor_teacher(), open_environments(Corridor, 2), "linear", forward_kl, config)
    rollout = session.collect()
    session.learn(rollout, session.stream.label(rollout))
    return session


def judged(monkeypatch, scores):
    """Judge one student for each list of returns, its weights set to its number; return the number that is kept."""
    session = begun()
    selection = Selection(session, Corridor)
    for number, returns in enumerate(scores):
        found = Evaluation("Corridor", 0, np.array(returns, dtype=float), np.ones(len(returns), dtype=int), 0.0)
        monkeypatch.setattr(module, "run_episodes", lambda *_, found=found, **__: found)
        session.learner.set_weights(
            {name: torch.full_like(value, number) for name, value in session.learner.weights().items()}
        )
        selection.judge()
    selection.finish()
    return int(session.learner.policy.state_dict()["network.0.bias"][0])


def test_a_clearly_better_earlier_student_is_kept(monkeypatch):
    assert judged(monkeypatch, [[1, 2, 3, 4], [9, 9, 8, 9], [2, 1, 4, 3]]) == 1


def test_among_equals_the_latest_is_kept(monkeypatch):
    assert judged(monkeypatch, [[5, 5, 5], [5, 5, 5], [5, 5, 5]]) == 2


def test_luck_alone_does_not_bring_back_an_earlier_student(monkeypatch):
    # Higher by 0.5 in the mean, with a standard error of the paired difference of 2.9.
    assert judged(monkeypatch, [[10, 0, 10, 2], [0, 10, 0, 10]]) == 1


def test_selection_seeds_are_those_of_neither_training_nor_proof(monkeypatch):
    seen = []

    class Noting(Corridor):
        def reset(self, *, seed=None, options=None):
            seen.append(seed)
            return super().reset(seed=seed, options=options)

    session = begun(seed=7)
    Selection(session, Noting).judge()
    assert [one for one in seen if one != PROBE] == [SELECTION + 7 + i for i in range(10)]
    assert max(one for one in seen if one != PROBE) < TRAINING


def test_candidates_are_spread_evenly_and_the_last_is_judged(tmp_path):
    out = tmp_path / "run"
    distill(
        corridor_teacher(),
        Corridor,
        "linear",
        timesteps=1280,
        n_envs=4,
        n_steps=16,
        eval_episodes=2,
        stop="never",
        out=out,
    )
    rows = read_metrics(out / "metrics.jsonl")[:-1]
    steps = [row["time/env_steps"] for row in rows if "eval/selection_return" in row]
    assert steps == [256, 512, 768, 1024, 1280]
    assert len(steps) == N_CANDIDATES


@pytest.mark.parametrize("settings", [{"select_episodes": 0}, {"eval_episodes": 0}])
def test_without_selection_the_last_student_is_kept(settings):
    session = begun(**settings)
    selection = Selection(session, Corridor)
    session.stream.env_steps = 160
    assert not selection.due(0)
    selection.finish()
    assert selection.best is None
