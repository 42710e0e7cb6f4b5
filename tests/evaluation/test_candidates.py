from functools import partial

import numpy as np
import pytest

from policy_distill import distill, evaluate
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError, RunFault
from policy_distill.evaluation.candidates import CandidateReturns
from policy_distill.seeds import training_seed
from policy_distill.training.evolution import EvolutionStrategy
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.run.finetuning.doubles import Anything
from tests.students import make_student

QUICK = {"timesteps": 512, "n_envs": 4, "n_steps": 32, "eval_episodes": 0}
STUDENTS = {
    "linear": (cartpole_teacher, "CartPole-v1"),
    "mlp:4,3": (pendulum_teacher, "Pendulum-v1"),
    "gru:3": (cartpole_teacher, "CartPole-v1"),
}


@pytest.mark.parametrize("network", STUDENTS)
def test_candidates_score_as_if_each_were_evaluated_alone(network):
    make, env = STUDENTS[network]
    student = distill(make(), env, network, **QUICK).student
    candidates = CandidateReturns(student, env, n_candidates=9, n_episodes=2)
    rng = np.random.default_rng(0)
    weights = candidates.start + 2.0 * np.stack(
        [0 * candidates.start, *rng.standard_normal((8, candidates.start.size))]
    )
    found = candidates.score(weights, 50)
    alone = [evaluate(candidates.student(one), env, 2, 50) for one in weights]
    assert found.tolist() == [pytest.approx(one.mean) for one in alone]
    assert candidates.env_steps == sum(one.lengths.sum() for one in alone)
    assert evaluate(student, env, 2, 50).mean == alone[0].mean and len({one.mean for one in alone}) > 1
    # Scored again after other episodes, each is the same.
    candidates.score(weights[::-1], 90)
    assert np.array_equal(candidates.score(weights, 50), found)
    candidates.close()


def test_log_std_and_statistics_stay():
    student = distill(pendulum_teacher(), "Pendulum-v1", "linear", **QUICK).student
    candidates = CandidateReturns(student, "Pendulum-v1", n_candidates=1)
    assert candidates.start.size == 4 and candidates.start.dtype == np.float32
    other = candidates.student(candidates.start + 1)
    assert np.array_equal(other.tensors["log_std"], student.tensors["log_std"])
    assert other.metadata["observation_normalization"] == student.metadata["observation_normalization"]
    assert other.metadata["retention"] is None


@pytest.mark.parametrize(
    "kind", [("vector", "squashed", "mlp:4", "tanh"), ("vector", "gaussian_head", "linear", "tanh")]
)
def test_outputs_that_say_log_std_stay(kind):
    student = make_student(kind)
    make = partial(Anything, student.observation_space, student.action_space)
    candidates = CandidateReturns(student, make, n_candidates=1)
    other = candidates.student(candidates.start + 1)
    last, n_modes = student.plan.layers[-1], student.plan.head.n_modes
    for name in (last["weight"], last["bias"]):
        assert np.array_equal(other.tensors[name][n_modes:], student.tensors[name][n_modes:])
        assert np.array_equal(other.tensors[name][:n_modes], student.tensors[name][:n_modes] + 1)
    assert candidates.start.size == sum(array.size for array in student.tensors.values()) - n_modes * (
        student.tensors[last["weight"]].shape[1] + 1
    )
    candidates.close()


def test_a_weak_student_is_improved():
    student = distill(cartpole_teacher(), "CartPole-v1", "linear", **QUICK).student
    candidates = CandidateReturns(student, "CartPole-v1", n_candidates=16)
    # The other way round it falls at once.
    search = EvolutionStrategy(-0.1 * candidates.start, n_pairs=8, sigma=0.1, rate=0.1, seed=0)
    before = evaluate(candidates.student(search.weights), "CartPole-v1", 20, 7_000).mean
    for _ in range(40):
        search.tell(candidates.score(search.ask(), training_seed(0, 0, search.generation)))
    after = evaluate(candidates.student(search.weights), "CartPole-v1", 20, 7_000).mean
    assert before < 15 and after > 300


def test_long_episodes_are_cut():
    student = distill(pendulum_teacher(), "Pendulum-v1", "linear", **QUICK).student
    candidates = CandidateReturns(student, "Pendulum-v1", n_candidates=2, max_episode_steps=30)
    candidates.score(np.stack([candidates.start] * 2), 0)
    assert candidates.env_steps == 60


def test_what_cannot_be_scored_is_refused():
    tree = distill(corridor_teacher(), Corridor, "tree:2", **QUICK).student
    with pytest.raises(RequestError, match="found a tree"):
        CandidateReturns(tree, Corridor, n_candidates=2)
    student = distill(corridor_teacher(), Corridor, "linear", **QUICK).student
    with pytest.raises(RequestError, match="found open environments"):
        CandidateReturns(student, open_environments(Corridor, 2).envs[0], n_candidates=2)
    with pytest.raises(RequestError, match="does not fit"):
        CandidateReturns(student, "CartPole-v1", n_candidates=2)
    candidates = CandidateReturns(student, Corridor, n_candidates=2)
    with pytest.raises(ValueError, match="2 candidates, found 1"):
        candidates.score(candidates.start[None], 0)
    with pytest.raises(ValueError, match="expected weights"):
        candidates.student(candidates.start[:-1])
    with pytest.raises(RunFault, match="candidates were scored"):
        CandidateReturns(student, lambda: Corridor(nan_at=3), n_candidates=1).score(candidates.start[None], 0)
