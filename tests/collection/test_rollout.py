import numpy as np
import pytest
import torch
from gymnasium import spaces

from policy_distill.collection.actors import MixedActor, RandomPolicy, TakesOver, TeacherActor
from policy_distill.collection.collector import Collector
from policy_distill.collection.one_sided import OneSided
from policy_distill.environments.listed import EnvironmentList
from policy_distill.environments.open import open_environments
from policy_distill.environments.two_sides import STUDENT
from policy_distill.errors import RunFault
from policy_distill.seeds import MEASURED, TRAINING
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher


def test_a_rollout_holds_what_was_seen_before_each_action():
    collector = Collector(EnvironmentList([Corridor(length=3), Corridor(length=5)]), seed=0)
    rollout = collector.collect(corridor_teacher(), 7, True, 1.0)
    assert np.allclose(rollout.obs[:, 0, 0], np.array([0, 1, 2, 0, 1, 2, 0]) / 3)
    assert np.allclose(rollout.obs[:, 1, 0], np.array([0, 1, 2, 3, 4, 0, 1]) / 5)
    assert rollout.episode_starts[:, 0].tolist() == [True, False, False, True, False, False, True]
    assert list(collector.returns) == [3.0, 5.0, 3.0]
    assert rollout.flat_obs.shape == (14, 2)


def test_rollouts_go_on_where_the_last_one_stopped():
    whole = Collector(open_environments("CartPole-v1", 2), 3).collect(cartpole_teacher(), 60, True, 1.0)
    halves = Collector(open_environments("CartPole-v1", 2), 3)
    parts = [halves.collect(cartpole_teacher(), 30, True, 1.0) for _ in range(2)]
    assert np.array_equal(np.concatenate([part.obs for part in parts]), whole.obs)
    assert np.array_equal(np.concatenate([part.episode_starts for part in parts]), whole.episode_starts)


def test_every_episode_starts_from_a_seed_of_its_own_that_evaluation_never_uses():
    seeds = []

    class Noting(Corridor):
        def reset(self, *, seed=None, options=None):
            seeds.append(seed)
            return super().reset(seed=seed, options=options)

    Collector(EnvironmentList([Noting(), Noting()]), seed=0).collect(corridor_teacher(), 35, True, 1.0)
    assert len(set(seeds)) == len(seeds) == 8
    assert all(TRAINING <= seed < MEASURED for seed in seeds)


def test_a_nan_in_a_rollout_stops_it_and_says_where():
    envs = EnvironmentList([Corridor(), Corridor(nan_at=4)])
    with pytest.raises(RunFault, match="environment 1 at step 4 of the rollout"):
        Collector(envs, 0).collect(corridor_teacher(), 10, True, 1.0)


def test_the_teacher_samples_from_a_generator_of_our_own():
    obs, starts = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32), np.zeros(500, bool)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one, again, other = (TeacherActor(pendulum_teacher(), seed).predict(obs, None, starts)[0] for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.abs(one).max() <= 2.0


def test_a_mixture_takes_its_share_from_the_teacher():
    class Always:
        def __init__(self, action):
            self.action = action

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return np.full(len(observation), self.action), state

    for share in (0.0, 0.3, 1.0):
        actor = MixedActor(Always(1), Always(0), share, np.random.default_rng(0))
        actions, _ = actor.predict(np.zeros((10_000, 2)))
        assert actions.mean() == pytest.approx(share, abs=0.015)


def test_masks_are_handed_on_where_there_are_any_and_are_no_argument_elsewhere():
    class Told:
        def predict(self, observation, state=None, episode_start=None, deterministic=False, **options):
            told.append(options)
            return np.zeros(len(observation)), state

    told, masks = [], np.ones((2, 3), bool)
    both = {"student/": np.zeros((2, 1)), "teacher/": np.zeros((2, 1))}
    mixed = MixedActor(Told(), Told(), 0.5, np.random.default_rng(0))
    for actor, obs in (
        (mixed, np.zeros((2, 1))),
        (TakesOver(Told()), np.zeros((2, 1))),
        (OneSided(Told(), STUDENT), both),
    ):
        actor.predict(obs, None, np.ones(2, bool))
        assert not any(told)
        told.clear()
        actor.predict(obs, None, np.ones(2, bool), action_masks=masks)
        assert told and all(options["action_masks"] is masks for options in told)
        told.clear()


def test_random_actions_are_uniform_and_seeded():
    space = Corridor().action_space
    one, two = (RandomPolicy(space, 2000, 0).predict(np.zeros((2000, 2)))[0] for _ in range(2))
    assert np.array_equal(one, two)
    assert one.mean() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize(
    ("space", "widths"),
    [
        (spaces.Discrete(3, start=2), [3]),
        (spaces.MultiDiscrete([3, 4], start=[1, -1]), [3, 4]),
        (spaces.MultiBinary(2), [2, 2]),
    ],
)
def test_random_actions_keep_to_the_masks(space, widths):
    policy = RandomPolicy(space, 500, 0, takes_action_masks=True)
    forbidden = np.cumsum([0, *widths[:-1]])
    masks = np.ones((500, sum(widths)), bool)
    masks[:, forbidden] = False
    actions, _ = policy.predict(np.zeros((500, 1)), action_masks=masks)
    assert all(space.contains(action) for action in actions)
    drawn = actions.reshape(500, -1) - np.asarray(getattr(space, "start", 0))
    assert [sorted(set(column)) for column in drawn.T] == [list(range(1, width)) for width in widths]
