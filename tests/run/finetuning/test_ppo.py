import math

import numpy as np
import pytest
import torch

from policy_distill.errors import RunFault
from policy_distill.evaluation.episodes import Evaluation
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.losses.kl import forward_kl
from policy_distill.run.finetuning import never_worse
from policy_distill.run.finetuning.experience import Experience
from policy_distill.run.finetuning.ppo import PPOLearner
from policy_distill.run.finetuning.ppo_model import buffer_of
from policy_distill.run.finetuning.reward_scale import RewardScale
from policy_distill.run.finetuning.settings import FinetuneConfig, kl_weight
from policy_distill.run.finetuning.standing import Standing
from policy_distill.student.record import CriticRecord
from policy_distill.student.runtime import Student
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.schedule import Moment
from tests.run.finetuning.doubles import Aim, student_of

T, N = 6, 2


def learner_of(**settings):
    config = FinetuneConfig(n_envs=N, n_steps=T, batch_size=4, **{"critic_steps": 0, **settings})
    return PPOLearner(StudentPolicy.from_record(student_of(Aim()).record), forward_kl, config, N)


def experience(seed=0, truncated_at=None, reward_scale=1.0):
    rng = np.random.default_rng(seed)
    truncated = np.zeros((T, N), bool)
    starts = np.zeros((T, N), bool)
    starts[0] = True
    if truncated_at is not None:
        truncated[truncated_at, 0] = True
        starts[truncated_at + 1, 0] = True
    params = rng.normal(size=(T * N, 2)).astype(np.float32)
    return Experience(
        features=torch.from_numpy(rng.normal(size=(T * N, 2)).astype(np.float32)),
        teacher_params=torch.from_numpy(params),
        actions=rng.normal(size=(T, N, 1)).astype(np.float32),
        masks=None,
        rewards=reward_scale * rng.normal(size=(T, N)),
        episode_starts=starts,
        truncated=truncated,
        final_features=torch.full((int(truncated.sum()), 2), 0.3),
        next_features=torch.from_numpy(rng.normal(size=(N, 2)).astype(np.float32)),
        ended=np.zeros(N, bool),
    )


def advantages_by_hand(learner, seen, rewards):
    """Generalised advantages by their definition: sums of discounted temporal differences within an episode."""
    config, critic = learner.config, learner._actor_critic.critic
    with torch.no_grad():
        values = critic(seen.features).reshape(T, N).double().numpy()
        following = critic(seen.next_features).double().numpy()
        final = critic(seen.final_features).double().numpy()
    found, n_final = np.zeros((T, N)), 0
    differences = np.zeros((T, N))
    goes_on = np.ones((T, N), bool)
    for t in range(T):
        for n in range(N):
            last = t == T - 1
            ends = (not last and seen.episode_starts[t + 1, n]) or (last and seen.ended[n])
            after = following[n] if last else values[t + 1, n]
            if seen.truncated[t, n]:
                after, n_final = final[n_final], n_final + 1
            elif ends:
                after = 0.0
            goes_on[t, n] = not ends
            differences[t, n] = rewards[t, n] + config.gamma * after - values[t, n]
    for t in range(T):
        for n in range(N):
            weight = 1.0
            for later in range(t, T):
                found[t, n] += weight * differences[later, n]
                weight *= config.gamma * config.gae_lambda
                if not goes_on[later, n]:
                    break
    return found


@pytest.mark.parametrize("truncated_at", [None, 2])
def test_advantages_are_those_of_the_definition_and_a_cut_episode_would_have_gone_on(truncated_at):
    learner, seen = learner_of(gamma=0.9, gae_lambda=0.8), experience(truncated_at=truncated_at)
    buffer = buffer_of(seen, seen.rewards, learner._model, learner._actor_critic)
    expected = advantages_by_hand(learner, seen, seen.rewards)
    np.testing.assert_allclose(buffer.advantages, expected, atol=1e-5)


def test_log_probabilities_are_those_of_the_family_for_what_was_drawn():
    learner, seen = learner_of(), experience()
    buffer = buffer_of(seen, seen.rewards, learner._model, learner._actor_critic)
    with torch.no_grad():
        params = learner.policy.params(seen.features)
        expected = learner.policy.spec.family.log_prob(params, torch.from_numpy(seen.actions).flatten(0, 1))
    np.testing.assert_allclose(buffer.log_probs, expected.reshape(T, N).numpy(), rtol=1e-5)


def test_the_bonus_is_the_entropy_less_the_divergence_from_the_teacher():
    learner, seen = learner_of(ent_coef=0.25), experience()
    policy, family = learner._actor_critic, learner.policy.spec.family
    policy.kl_weight = 2.0
    obs = {"features": seen.features, "teacher": seen.teacher_params}
    _, _, bonus = policy.evaluate_actions(obs, torch.from_numpy(seen.actions).flatten(0, 1))
    params = learner.policy.params(seen.features)
    expected = 0.25 * family.entropy(params) - 2.0 * family.kl(seen.teacher_params, params)
    torch.testing.assert_close(bonus, expected)


def updated(learner, seen, seed=1):
    learner.take(seen)
    return learner.learn(None, Moment(0.0, 0.1, T * N, seed))


def test_the_divergence_alone_pulls_the_student_to_its_teacher():
    # No reward differs from another: what is left of the objective is the divergence.
    learner = learner_of(learning_rate=0.01, target_kl=0.0, kl_schedule="constant", kl_weight=10.0)
    learner.standing = Standing(random=0.0, teacher=1.0, share_kept=0.0)
    family = learner.policy.spec.family
    first = experience(reward_scale=0.0)

    def divergence():
        with torch.no_grad():
            return float(family.kl(first.teacher_params, learner.policy.params(first.features)).mean())

    before = divergence()
    for number in range(30):
        updated(learner, first, number)
    assert divergence() < before


def test_an_update_depends_on_its_seed_and_on_no_global_generator():
    def weights(seed, before):
        np.random.seed(before)
        learner = learner_of(learning_rate=0.01)
        updated(learner, experience(), seed)
        drawn = np.random.rand()
        return learner.policy.state_dict()["network.0.weight"], drawn

    (one, after_one), (other, after_other), (third, _) = weights(1, 5), weights(1, 6), weights(2, 5)
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    np.random.seed(5)
    assert after_one == np.random.rand() != after_other


def test_state_and_restore_are_all_that_the_next_update_depends_on():
    one = learner_of(learning_rate=0.01)
    updated(one, experience(0))
    other = learner_of(learning_rate=0.01)
    other.restore(one.state())
    assert updated(one, experience(1), 2) == updated(other, experience(1), 2)
    assert all(np.array_equal(value, other.state()[name], equal_nan=True) for name, value in one.state().items())


@pytest.mark.parametrize("name", ["counts", "standing", "rewards.running", "rewards.moments"])
def test_a_state_of_another_run_is_refused(name):
    learner = learner_of()
    updated(learner, experience())
    state = learner.state()
    state[f"training.{name}"] = np.zeros(17)
    with pytest.raises(ValueError, match=r"of (another|other)"):
        learner_of().restore(state)


@pytest.mark.parametrize(("rate", "rewards"), [(1e30, 1.0), (1e-3, math.nan)])
def test_what_is_not_finite_stops_the_run_with_the_student_as_it_was(rate, rewards):
    learner = learner_of(learning_rate=rate, max_recoveries=1)
    before = {name: value.clone() for name, value in learner.policy.state_dict().items()}
    with pytest.raises(RunFault, match="not finite"):
        updated(learner, experience(reward_scale=rewards))
    assert all(torch.equal(value, before[name]) for name, value in learner.policy.state_dict().items())


def test_a_setback_gives_the_earlier_student_and_half_the_rate():
    learner = learner_of(learning_rate=0.01)
    good = learner.weights()
    first = updated(learner, experience())
    learner.go_back(good)
    assert all(torch.equal(value, good[name]) for name, value in learner.weights().items())
    assert updated(learner, experience())["train/learning_rate"] == pytest.approx(first["train/learning_rate"] / 2)


def test_a_critic_that_came_with_the_student_says_its_values_in_units_of_the_rewards():
    rng = np.random.default_rng(0)
    tensors = {
        "critic.0.weight": rng.normal(size=(3, 2)).astype(np.float32),
        "critic.0.bias": rng.normal(size=3).astype(np.float32),
        "critic.2.weight": 40.0 * rng.normal(size=(1, 3)).astype(np.float32),
        "critic.2.bias": rng.normal(size=1).astype(np.float32),
    }
    layers = [
        {"op": "linear", "weight": "critic.0.weight", "bias": "critic.0.bias"},
        {"op": "tanh"},
        {"op": "linear", "weight": "critic.2.weight", "bias": "critic.2.bias"},
    ]
    record = CriticRecord(tensors, {"layers": layers, "discount": 0.9})
    config = FinetuneConfig(n_envs=N, batch_size=4, critic_steps=0, learning_rate=1e-12)
    learner = PPOLearner(StudentPolicy.from_record(student_of(Aim()).record), forward_kl, config, N, critic=record)
    seen = experience(reward_scale=20.0)
    updated(learner, seen)
    with torch.no_grad():
        found = learner._actor_critic.critic(seen.features).numpy()
    np.testing.assert_allclose(found, record.values(seen.features.numpy()) / learner._rewards.unit, rtol=1e-4)


def test_rewards_are_divided_by_the_deviation_of_the_discounted_return():
    rng = np.random.default_rng(0)
    rewards = 50.0 + 7.0 * rng.normal(size=(500, 3))
    starts = np.zeros((500, 3), bool)
    starts[::20] = True
    scale = RewardScale(3, 0.9)
    found = scale.normalized(rewards, starts)
    running, sums = np.zeros(3), []
    for reward, start in zip(rewards, starts, strict=True):
        running = np.where(start, 0.0, running) * 0.9 + reward
        sums.append(running)
    np.testing.assert_allclose(found, rewards / np.std(sums), rtol=1e-3)


@pytest.mark.parametrize(
    ("schedule", "progress", "kept", "expected"),
    [
        *[("linear", 0.25, 0.0, 1.5), ("constant", 0.9, 0.5, 2.0), ("retention", 0.9, 0.75, 0.5)],
        *[("retention", 0.0, 1.5, 0.0), ("retention", 0.0, -1.0, 2.0), ("retention", 0.5, math.nan, 0.0)],
        # What is not known weakens no schedule that does not ask.
        *[("constant", 0.5, math.nan, 2.0), ("linear", 0.25, math.nan, 1.5)],
    ],
)
def test_the_weight_of_the_divergence_falls_as_its_schedule_says(schedule, progress, kept, expected):
    config = FinetuneConfig(kl_weight=2.0, kl_schedule=schedule)
    assert kl_weight(config, progress, kept) == pytest.approx(expected)


def evaluation(returns):
    return Evaluation("Aim", 5, np.asarray(returns, float), np.ones(len(returns), int), 0.0)


@pytest.mark.parametrize(("shift", "expected"), [(0.4, "better"), (-0.4, "worse"), (0.0, "undecided")])
def test_which_of_two_students_is_better_is_told_by_paired_episodes(shift, expected):
    returns = np.random.default_rng(0).normal(size=200) * 0.2
    found = never_worse._judged(evaluation(returns), evaluation(returns[::-1] + shift), stake=3.0)
    assert found.outcome == expected


def test_one_episode_that_loses_more_than_was_assumed_proves_nothing():
    tuned = np.full(200, 1.0)
    tuned[7] = -5.0
    assert never_worse._judged(evaluation(np.zeros(200)), evaluation(tuned), stake=3.0).outcome == "undecided"


def test_a_student_that_gains_nothing_is_rarely_called_better():
    # At the edge: differences of mean 0, looked at after each batch. 5% at most may err.
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(400):
        x = rng.choice([-1.0, 1.0], size=300)
        wrong += any(
            never_worse._judged(evaluation(np.zeros(n)), evaluation(x[:n]), stake=1.1).better
            for n in range(32, 301, 32)
        )
    assert wrong <= 0.05 * 400


class Peak(Aim):
    """Pays for one action that nobody meets by chance, so that a random policy returns what a poor student does."""

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, float(abs(float(action[0]) - 0.5) < 1e-4), *rest


def test_a_gain_is_proven_where_the_student_returned_what_chance_does():
    begun, tuned = (student_of(Peak(), "linear", mean=mean) for mean in (-0.5, 0.5))
    weights = {name: array * (array.ndim < 2) for name, array in tuned.tensors.items()}
    tuned = Student(weights, tuned.metadata)
    plan = ProofPlan(40, 5_000, scale_seed=9_000, n_scale=4, n_envs=4)
    found = never_worse.improvement(begun, tuned, Peak, plan)
    assert (found.outcome, found.gain) == ("better", 8.0)
    assert never_worse.improvement(begun, begun, Peak, plan).outcome == "undecided"
