"""Which environment a policy acts in: its version, its arguments, its wrappers, its frame skip."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from policy_distill import compare, distill, evaluate, load_teacher
from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.commands.options.policies import find_env
from policy_distill.environments.choice import adapted, choose_version
from policy_distill.environments.fit import check_fit
from policy_distill.environments.make import make_env
from policy_distill.environments.open import open_environments
from policy_distill.environments.wrappers import PadObservation, apply_wrappers, missing_in
from policy_distill.errors import RequestError
from tests.dials import write_teacher

SIZES = {1: 2, 2: 3, 4: 3, 5: 6}
"""Observations of each registered version; of version 3 there is none."""


class Reach(gymnasium.Env):
    """Ends at once; its observations have as many numbers as its version says."""

    action_space = spaces.Discrete(4)

    def __init__(self, size=3, gain=1.0):
        self.observation_space = spaces.Box(-1, 1, (size,), np.float32)
        self.gain = gain

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.low, {}

    def step(self, action):
        return self.observation_space.low, self.gain, True, False, {}


@pytest.fixture(autouse=True)
def versions():
    for version, size in SIZES.items():
        gymnasium.register(f"Reach-v{version}", Reach, kwargs={"size": size})
    yield
    for version in SIZES:
        gymnasium.registry.pop(f"Reach-v{version}")


class Agent(PolicyDefaults):
    """A policy with its spaces, wrappers and constructor arguments."""

    def __init__(self, size=3, env_kwargs=None, env_wrappers=()):
        self.observation_space = spaces.Box(-1, 1, (size,), np.float32)
        self.action_space = spaces.Discrete(4)
        self.env_wrappers = list(env_wrappers)
        self.env_kwargs = env_kwargs or {}

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.zeros(len(observation), np.int64), state


def test_the_version_that_it_was_trained_in_comes_first():
    assert choose_version("Reach-v2", Agent()) == ("Reach-v2", [])


def test_of_the_others_the_nearest_that_fits_is_taken_and_the_rest_named():
    chosen, (note,) = choose_version("Reach-v3", Agent())
    assert chosen in ("Reach-v4", "Reach-v2")
    other = {"Reach-v2", "Reach-v4"} - {chosen}
    assert note.startswith("instead of Reach-v3, which cannot be made here; ")
    assert f"{other.pop()} would fit too" in note
    assert choose_version("Reach-v3", Agent(6))[0] == "Reach-v5"


def test_a_refusal_names_the_versions_that_fit():
    with pytest.raises(RequestError, match=r"does not fit: .*choose a version that fits: --env Reach-v4 or Reach-v2"):
        check_fit(Agent(), open_environments("Reach-v5", 1))
    with pytest.raises(RequestError, match=r"--env-kwargs.*--wrapper"):
        check_fit(Agent(99), open_environments("Reach-v5", 1))


def test_where_nothing_is_registered_the_packages_are_asked_for(tmp_path):
    path = (
        write_teacher(tmp_path / "Unheard-v3.zip", gymnasium.make("CartPole-v1").unwrapped.__class__(), 0)
        if False
        else None
    )
    env = Reach(4)
    path = write_teacher(tmp_path / "Unheard-v3.zip", env, 0)
    with pytest.raises(RequestError, match=r"expected --env: .*'Unheard-v3'.*--env pkg:Id, or --gym-packages pkg"):
        find_env(None, path)


@pytest.mark.parametrize(
    ("trained", "size", "n_actions", "taken", "others"),
    [
        ("Humanoid-v3", 376, 17, "Humanoid-v4", ()),
        ("Walker2d-v3", 17, 6, "Walker2d-v4", ("Walker2d-v5",)),
        ("Ant-v4", 27, 8, "Ant-v4", ()),
    ],
)
def test_agents_of_mujoco_go_to_the_version_that_is_theirs(trained, size, n_actions, taken, others):
    pytest.importorskip("mujoco")
    agent = Agent(size)
    agent.action_space = spaces.Box(-1, 1, (n_actions,), np.float32)
    chosen, notes = choose_version(trained, agent)
    assert chosen == taken
    assert all(other in notes[0] for other in others)


def test_the_zeros_of_an_old_ant_have_a_wrapper_that_the_refusal_names():
    pytest.importorskip("mujoco")
    agent = Agent(111)
    agent.action_space = spaces.Box(-1, 1, (8,), np.float32)
    with pytest.raises(RequestError, match=r"--wrapper PadObservation:size=111"):
        check_fit(agent, open_environments("Ant-v4", 1))
    agent.env_wrappers = [{"name": "PadObservation", "kwargs": {"size": 111}}]
    assert choose_version("Ant-v3", agent)[0] == "Ant-v4"
    env = apply_wrappers(make_env("Ant-v4"), agent.env_wrappers)
    obs, _ = env.reset(seed=0)
    assert obs.shape == env.observation_space.shape == (111,)
    assert not obs[27:].any()
    env.close()


def test_padding_wants_a_vector_that_is_not_longer():
    with pytest.raises(RequestError, match="at most 2 numbers"):
        PadObservation(make_env("Reach-v2"), 2)
    env = PadObservation(make_env("Reach-v2"), 5)
    assert env.step(env.reset() and 0)[0].tolist() == [-1, -1, -1, 0, 0]
    assert env.observation_space.contains(env.reset()[0])


def test_arguments_of_the_teacher_are_applied_and_those_of_the_caller_win():
    agent = Agent(env_kwargs={"gain": 5.0, "size": 3})
    assert evaluate(agent, "Reach-v5", 2).mean == 5.0
    assert evaluate(agent, "Reach-v5", 2, env_kwargs={"gain": 7.0}).mean == 7.0
    chosen, (note,) = adapted("Reach-v5", agent, {"gain": 7.0})
    assert chosen.kwargs == {"size": 3, "gain": 7.0}
    assert note == "environment arguments of the policy: size=3"
    # A specification is taken at its word, so that what was settled once stays so.
    assert adapted(chosen, agent) == (chosen, [])
    assert evaluate(agent, lambda: Reach(gain=2.0), 2).mean == 2.0


def test_arguments_are_for_what_is_made_here_and_that_its_constructor_knows():
    with pytest.raises(RequestError, match="made already"):
        evaluate(Agent(), make_env("Reach-v2"), 1, env_kwargs={"gain": 2.0})
    with pytest.raises(RequestError, match="refuses colour='red'"):
        evaluate(Agent(), "Reach-v2", 1, env_kwargs={"colour": "red"})
    with pytest.raises(RequestError, match="render_mode"):
        evaluate(Agent(), "Reach-v2", 1, env_kwargs={"render_mode": "human"})
    assert evaluate(Agent(), Reach, 2, env_kwargs={"gain": 3.0}).mean == 3.0


def test_distilling_and_comparing_play_by_the_teachers_arguments(caplog):
    teacher = load_teacher(Agent(), env="Reach-v2")
    teacher.env_kwargs = {"gain": 5.0}
    quick = {"timesteps": 64, "n_steps": 8, "n_envs": 2, "eval_episodes": 2, "select_episodes": 2}
    result = distill(teacher, "Reach-v2", "linear", **quick)
    assert result.evaluation["teacher"]["mean"] == 5.0
    assert result.student.metadata["provenance"]["env"]["kwargs"] == {"size": 3, "gain": 5.0}
    assert "environment arguments of the policy: gain=5.0" in caplog.text
    bare = load_teacher(Agent(), env="Reach-v2")
    found = compare(bare, result.student, "Reach-v2", 2, perturb="sticky:0")
    assert found["none"].teacher.mean == 5.0


STACK = {"name": "FrameStack", "kwargs": {"n_stack": 2}}


def test_a_callable_is_wrapped_unless_it_is_already():
    def bare():
        return make_env("Reach-v2")

    def stacked():
        return apply_wrappers(bare(), [STACK])

    def stacked_by_gymnasium():
        return gymnasium.wrappers.FrameStackObservation(bare(), 2)

    for made, shape in ((bare, (6,)), (stacked, (6,)), (stacked_by_gymnasium, (2, 3))):
        envs = open_environments(made, 1, [STACK])
        assert envs.observation_space.shape == shape
        assert not missing_in(envs.envs[0], [STACK])
        assert not envs.identity.missing or made is stacked_by_gymnasium
    assert evaluate(Agent(6, env_wrappers=[STACK]), bare, 1).env_id == "Reach-v2"
    found = compare(Agent(6, env_wrappers=[STACK]), Agent(6), stacked, 2, perturb="delay:1")
    assert set(found) == {"none", "delay:1"}


def test_that_an_environment_which_is_handed_over_is_not_wrapped_is_said(caplog):
    with pytest.raises(RequestError, match="does not fit"):
        evaluate(Agent(6, env_wrappers=[STACK]), make_env("Reach-v2"), 1)
    assert "not wrapped in the policy's FrameStack" in caplog.text
    caplog.clear()
    evaluate(Agent(6, env_wrappers=[STACK]), apply_wrappers(make_env("Reach-v2"), [STACK]), 1)
    assert not caplog.records


ATARI = {"name": "AtariWrapper", "kwargs": {}}


def test_frames_are_skipped_once():
    pytest.importorskip("ale_py")
    agent = Agent(env_wrappers=[ATARI])
    chosen, (note,) = adapted("ALE/Pong-v5", agent)
    assert chosen.kwargs["frameskip"] == 1
    assert note == "frameskip=1 in place of 4 for ALE/Pong-v5, since AtariWrapper skips frames itself"
    assert adapted(chosen, agent) == (chosen, [])
    assert adapted("PongNoFrameskip-v4", agent) == ("PongNoFrameskip-v4", [])
    assert adapted("ALE/Pong-v5", Agent()) == ("ALE/Pong-v5", [])
    one = {"name": "AtariWrapper", "kwargs": {"frame_skip": 1}}
    assert adapted("ALE/Pong-v5", Agent(env_wrappers=[one])) == ("ALE/Pong-v5", [])


def test_a_callable_that_skips_frames_itself_keeps_its_own_skip(caplog):
    pytest.importorskip("ale_py")
    envs = open_environments(lambda: gymnasium.make("ALE/Pong-v5"), 1, [ATARI])
    before = envs.envs[0].unwrapped.ale.getFrameNumber
    envs.reset(0, 0)
    begun = before()
    envs.step(np.zeros(1, np.int64))
    assert before() - begun == 4
    assert "skips frames itself" in caplog.text
    envs.close()
