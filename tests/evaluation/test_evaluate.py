import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.errors import RequestError, RunFault
from policy_distill.evaluation.compare import compare
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.system.background import Background
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher


class Hasty(PolicyDefaults):
    """Pushes the way it moves, and falls soon."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return (observation[:, 1] > 0).astype(np.int64), state


class LengthBySeed(Corridor):
    """Even seeds end after 2 steps with a return of 2, odd ones after 50 with 50."""

    def reset(self, *, seed=None, options=None):
        self.length = 2 if seed % 2 == 0 else 50
        return super().reset(seed=seed, options=options)


@pytest.mark.parametrize("n_envs", [1, 3, 16])
def test_short_episodes_are_not_favoured(n_envs):
    # Whoever stops counting at the 20th ended episode sees mostly short ones.
    found = evaluate(corridor_teacher(), LengthBySeed, n_episodes=20, n_envs=n_envs)
    assert found.returns.tolist() == [2.0, 50.0] * 10
    assert found.lengths.tolist() == [2, 50] * 10


def test_the_return_is_divided_over_the_tenths_of_each_episode():
    found = evaluate(corridor_teacher(), LengthBySeed, n_episodes=6, n_envs=4)
    assert found.phases[1].tolist() == [5.0] * 10
    assert found.phases[0].tolist() == [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0], "two steps lie in the first and sixth tenth"
    assert found.phases.sum(axis=1).tolist() == found.returns.tolist()
    assert found.to_json()["phases"] == found.phases.mean(axis=0).tolist()


def test_long_evaluations_divide_the_return_of_late_episodes_too():
    found = evaluate(cartpole_teacher(), "CartPole-v1", 20, n_envs=2)
    assert found.lengths.sum() / 2 > 1024, "the trace has grown"
    np.testing.assert_allclose(found.phases.sum(axis=1), found.returns)
    np.testing.assert_allclose(found.phases.min(axis=1), found.lengths // 10, atol=1)


def test_the_number_of_environments_does_not_change_the_returns():
    returns = [evaluate(cartpole_teacher(), "CartPole-v1", 12, 5, n_envs=n).returns.tolist() for n in (1, 4, 12)]
    assert returns[0] == returns[1] == returns[2]


def test_a_vec_normalize_of_whole_numbers_is_evaluated():
    class Whole(Corridor):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(-10, 10, (2,), np.int64)

        def _seen(self, obs):
            return obs.astype(np.int64)

        def reset(self, **options):
            obs, info = super().reset(**options)
            return self._seen(obs), info

        def step(self, action):
            obs, *rest = super().step(action)
            return self._seen(obs), *rest

    vec_env = VecNormalize(DummyVecEnv([Whole]), training=False)
    model = PPO("MlpPolicy", vec_env, n_steps=16, batch_size=16, device="cpu")
    assert evaluate(model, vec_env, 2).n_episodes == 2


def test_a_maskable_model_as_it_is_acts_under_the_masks():
    class Masked(Corridor):
        taken = ()

        def action_masks(self):
            return np.array([False, True])

        def step(self, action):
            Masked.taken += (int(action),)
            return super().step(action)

    model = MaskablePPO("MlpPolicy", Masked(), n_steps=16, batch_size=16, device="cpu")
    compare(model, model, Masked, 3)
    assert set(Masked.taken) == {1}
    with pytest.raises(RequestError, match="action_masks"):
        evaluate(model, Corridor, 2)


def test_returns_equal_those_of_sb3():
    teacher = pendulum_teacher()
    ours = evaluate(teacher, "Pendulum-v1", n_episodes=3, seed=11)
    vec_env = make_vec_env("Pendulum-v1", 1, seed=11, env_kwargs={"render_mode": None})
    theirs, _ = evaluate_policy(teacher, vec_env, n_eval_episodes=1, return_episode_rewards=True)
    assert ours.returns[0] == pytest.approx(theirs[0], abs=1e-3)


def test_the_same_seed_gives_the_same_returns_and_another_gives_others():
    one, two, other = (evaluate(pendulum_teacher(), "Pendulum-v1", 4, seed).returns for seed in (0, 0, 50))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_teacher_compared_with_itself_keeps_everything():
    kept = compare(cartpole_teacher(), cartpole_teacher(), "CartPole-v1", n_episodes=10)
    assert kept.iqm == 1.0
    assert kept.ci95 == (1.0, 1.0)


def test_a_comparison_reports_every_episode():
    done = []
    found = compare_policies(
        cartpole_teacher(), cartpole_teacher(), "CartPole-v1", ProofPlan(5, 0), on_episode=done.append
    )
    # The student's episodes are counted one by one; those of a process beside this one from time to time.
    assert done == sorted(done)
    assert max(n for n in done if n <= 5) == 5
    assert max(done) <= 3 * 5 + 2 * 5
    assert found.random.mean < 60 < found.teacher.mean


def test_a_proof_is_the_same_in_one_process_and_in_two(monkeypatch):
    found = {}
    for idle in (True, False):
        monkeypatch.setattr("policy_distill.evaluation.reference.has_idle_core", lambda idle=idle: idle)
        found[idle] = compare_policies(cartpole_teacher(), Hasty(), "CartPole-v1", ProofPlan(6, 3))
    for name in ("teacher", "student", "random"):
        assert np.array_equal(getattr(found[True], name).returns, getattr(found[False], name).returns)
    assert found[True].retention == found[False].retention


class Tired(PolicyDefaults):
    """Acts as its teacher for so many steps of an episode, and lets the pole fall then."""

    n_steps = 480

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        done = np.where(episode_start, 0, 0 if state is None else state)
        actions, _ = cartpole_teacher().predict(observation, deterministic=True)
        return np.where(done < self.n_steps, actions, 0), done + 1


def test_looks_that_a_close_student_needs_are_the_same_in_one_process_and_in_two(monkeypatch):
    forked = []

    class Noted(Background):
        def __init__(self, call, *, forked):
            noted.append(forked)
            super().__init__(call, forked=forked)

    monkeypatch.setattr("policy_distill.evaluation.reference.Background", Noted)
    monkeypatch.setattr("policy_distill.evaluation.paired.PAYS", 0.0)
    found = {}
    for idle in (True, False):
        noted, done = [], []
        monkeypatch.setattr("policy_distill.evaluation.reference.has_idle_core", lambda idle=idle: idle)
        plan = ProofPlan(24, 3, batch=4, worst_loss=0.1)
        found[idle] = compare_policies(cartpole_teacher(), Tired(), "CartPole-v1", plan, on_episode=done.append)
        forked.append(noted)
        assert done == sorted(done) and done[-1] == 3 * found[idle].teacher.n_episodes + 2 * plan.n_scale
    assert forked[0] == [True] * len(forked[0]) and len(forked[0]) > 1, "a process for each look beyond the first ones"
    assert forked[1] == [False]
    for name in ("teacher", "student", "random"):
        assert np.array_equal(getattr(found[True], name).returns, getattr(found[False], name).returns)
    assert found[True].retention == found[False].retention


def test_what_fails_beside_this_process_fails_here():
    def broken():
        return Corridor(nan_at=3)

    with pytest.raises(RunFault, match="nan"):
        compare_policies(corridor_teacher(), corridor_teacher(), broken, ProofPlan(4, 0))


def test_any_object_with_predict_is_evaluated():
    class Constant:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.ones(len(observation), dtype=np.int64), state

    assert evaluate(Constant(), Corridor, n_episodes=3).mean == 10.0


def test_a_vector_environment_is_evaluated_with_raw_rewards():
    vec_env = VecNormalize(make_vec_env(Corridor, 2))
    assert evaluate(corridor_teacher(), vec_env, n_episodes=4).returns.tolist() == [10.0] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "at least 1 episode"), ((1, -1), "seed of at least 0"), ((10, 2**31 - 5), r"below 2\^31")],
)
def test_counts_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(RequestError, match=message):
        evaluate(corridor_teacher(), Corridor, *arguments)


def test_an_environment_that_does_not_fit_is_refused_with_both_spaces():
    with pytest.raises(RequestError, match=r"expected Box\(2,\).*found Box\(4,\)"):
        evaluate(corridor_teacher(), "CartPole-v1")


def test_a_nan_stops_the_evaluation_and_says_where():
    with pytest.raises(RunFault, match=r"Corridor returned nan .* environment 0"):
        evaluate(corridor_teacher(), lambda: Corridor(nan_at=3), n_episodes=2)
