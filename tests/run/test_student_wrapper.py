"""A student that sees its environment through a wrapper of its own, while its teacher sees it as it is."""

import functools
import json
import logging
from collections import deque

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from sb3_contrib import MaskablePPO

from policy_distill.cli import main
from policy_distill.compression.compress import compress
from policy_distill.environments.open import open_environments
from policy_distill.environments.own_wrapper import own_wrapper, text_of
from policy_distill.environments.two_sides import STUDENT, TEACHER, SeenByBoth, SeenThrough, Sides, side_of
from policy_distill.errors import RequestError, RunFault
from policy_distill.evaluation.compare import compare, fidelity_on_own_states
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.exporters.export import export
from policy_distill.run.distill import distill
from policy_distill.student.file import write_sealed
from policy_distill.student.runtime import Student, load_student
from tests.doubles import cartpole_teacher
from tests.run.test_resume import die_and_resume

QUICK = {"timesteps": 1024, "n_steps": 32, "eval_episodes": 0}
HERE = __name__


class Noisy(gymnasium.ObservationWrapper):
    """A sensor's noise, drawn from the environment's generator as wrappers do."""

    def __init__(self, env, std=0.05):
        super().__init__(env)
        self.std = std

    def observation(self, observation):
        observation += self.std * self.np_random.normal(size=observation.shape).astype(np.float32)
        return observation


class Late(gymnasium.Wrapper):
    """News from some steps ago."""

    def __init__(self, env, delay=2):
        super().__init__(env)
        self.seen = deque(maxlen=delay + 1)

    def reset(self, *, seed=None, options=None):
        obs, info = self.env.reset(seed=seed, options=options)
        self.seen.clear()
        self.seen.append(obs)
        return self.seen[0], info

    def step(self, action):
        obs, *rest = self.env.step(action)
        self.seen.append(obs)
        return (self.seen[0], *rest)


class Coarse(gymnasium.ObservationWrapper):
    """Two of four sensors, in tenths."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)

    def observation(self, observation):
        return np.round(observation[[0, 2]], 1)


class Restless(gymnasium.ObservationWrapper):
    """Draws from where nobody seeds."""

    def observation(self, observation):
        return observation + np.random.default_rng().normal(size=4).astype(np.float32)


class Skips(gymnasium.Wrapper):
    def step(self, action):
        self.env.step(action)
        return self.env.step(action)


class Acts(gymnasium.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.Discrete(5)


class Breaks(gymnasium.Wrapper):
    def __init__(self, env, how="loudly"):
        raise ValueError(how)


def coarse(env):
    return Coarse(env)


def forgetful(env):
    return None


def plain():
    return gymnasium.make("CartPole-v1")


def make_both(wrapper):
    return SeenByBoth(plain(), own_wrapper(wrapper))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """The file of a student behind noise."""
    out = tmp_path_factory.mktemp("noisy") / "run"
    distill(cartpole_teacher(), "CartPole-v1", "mlp:8", student_wrapper=f"{HERE}:Noisy:std=0.2", out=out, **QUICK)
    return out / "student.safetensors"


@pytest.mark.parametrize("wrapper", [Noisy, Late, Coarse])
def test_the_environment_is_the_same_for_both(wrapper):
    alone, both, through = plain(), make_both(wrapper), SeenThrough(plain(), own_wrapper(wrapper))
    for seed in (3, 4):
        obs, shown, seen = (env.reset(seed=seed)[0] for env in (alone, both, through))
        for step in range(30):
            assert np.array_equal(side_of(shown, TEACHER), obs)
            assert np.array_equal(side_of(shown, STUDENT), seen)
            assert both.observation_space.contains(shown)
            (obs, *one), (shown, *two), (seen, *three) = (env.step(step % 2) for env in (alone, both, through))
            assert one == two == three
            if one[1]:
                break


def test_a_wrapper_begins_anew_with_each_episode_and_its_noise_is_the_seed_s():
    noisy, late = (SeenThrough(plain(), own_wrapper(wrapper)) for wrapper in (Noisy, Late))
    first, other, again = (noisy.reset(seed=seed)[0] for seed in (5, 6, 5))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert not np.allclose(first, plain().reset(seed=5)[0])
    began = late.reset(seed=5)[0]
    assert np.array_equal(late.step(0)[0], began) and np.array_equal(late.step(0)[0], began)
    assert not np.array_equal(late.step(0)[0], began)
    assert np.array_equal(late.reset(seed=5)[0], began)


def test_sides_are_told_by_their_keys():
    pair = spaces.Dict(near=spaces.Box(-1.0, 1.0, (2,)), far=spaces.Discrete(3))
    sides = Sides(pair, spaces.Box(-1.0, 1.0, (2,)))
    found = Sides.of(sides.space)
    assert (found.teacher, found.student) == (pair, sides.student)
    assert list(side_of(sides.space.sample(), TEACHER)) == list(pair)


def test_the_record_has_its_name_and_arguments_and_the_student_takes_what_it_gives(noisy, tmp_path):
    student = load_student(noisy)
    assert student.view.wrapper == {"entry_point": f"{HERE}:Noisy", "kwargs": {"std": 0.2}}
    assert (
        json.loads((noisy.parent / "config.json").read_text())["config"]["student_wrapper"] == f"{HERE}:Noisy:std=0.2"
    )
    out = tmp_path / "coarse"
    result = distill(cartpole_teacher(), "CartPole-v1", "mlp:8", student_wrapper=Coarse, out=out, **QUICK)
    assert result.student.observation_space.shape == (2,)
    assert result.student.act(np.zeros(2, np.float32)) in (0, 1)
    for format, name in (("onnx", "student.onnx"), ("c", "c"), ("numpy", "numpy")):
        found = export(result.student, tmp_path / name, format, n_states=64)
        assert found.parity.passed and found.parity.states == "CartPole-v1"


def test_what_is_observed_is_a_part_of_what_the_wrapper_shows():
    student = distill(cartpole_teacher(), "CartPole-v1", "mlp:8", student_wrapper=Coarse, observe="1", **QUICK).student
    assert student.observation_space.shape == (1,) and student.view.whole["shape"] == [2]
    assert student.act(np.zeros(1)) == student.act(np.zeros(2))
    assert evaluate(student, "CartPole-v1", 3).mean > 1
    with pytest.raises(RequestError, match=r"components of what .*:Coarse shows \(0, 1\), found 2$"):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", student_wrapper=Coarse, observe="2", **QUICK)


def test_who_judges_puts_it_around_again_and_only_around_the_student(noisy):
    student, teacher = load_student(noisy), cartpole_teacher()
    without = {key: value for key, value in student.metadata.items() if key != "view"}
    wrapped = Student(student.tensors, without)
    expected = evaluate(
        wrapped, functools.partial(SeenThrough, plain(), own_wrapper(f"{HERE}:Noisy:std=0.2")), 4, n_envs=1
    )
    assert np.array_equal(evaluate(student, "CartPole-v1", 4, n_envs=1).returns, expected.returns)
    assert not np.array_equal(evaluate(wrapped, "CartPole-v1", 4, n_envs=1).returns, expected.returns)
    found = compare(teacher, student, "CartPole-v1", 4, seed=0, n_envs=1)
    assert found.mean < 1.0
    assert 0.3 < fidelity_on_own_states(teacher, student, "CartPole-v1").agreement < 0.98
    perturbed = compare(teacher, student, plain, 4, seed=0, perturb="delay:1")
    assert set(perturbed) == {"none", "delay:1"}


def test_a_proof_has_both_in_the_same_episodes():
    result = distill(cartpole_teacher(), "CartPole-v1", "mlp:8", student_wrapper=Late, **{**QUICK, "eval_episodes": 6})
    teacher = evaluate(cartpole_teacher(), "CartPole-v1", 6, seed=1_000_000)
    assert np.array_equal(result.comparison.teacher.returns[:6], teacher.returns)
    own = evaluate(result.student, "CartPole-v1", 6, seed=1_000_000)
    assert np.array_equal(result.comparison.student.returns[:6], own.returns)


@pytest.mark.parametrize(
    "wrapper",
    [f"{HERE}:Noisy", f"{HERE}:Late:delay=3", f"{HERE}:coarse", "gymnasium.wrappers:DelayObservation:delay=1"],
)
def test_a_run_that_died_equals_one_that_did_not(tmp_path, wrapper):
    whole, died = die_and_resume(tmp_path, cartpole_teacher, lambda: "CartPole-v1", student_wrapper=wrapper)
    assert whole == died


def test_noise_that_nobody_seeds_is_said_not_to_come_back(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "policy_distill"):
        die_and_resume(tmp_path, cartpole_teacher, lambda: "CartPole-v1", student_wrapper=Restless)
    assert "the same seed and actions led to another observation" in caplog.text


def test_a_compression_goes_through_it_too():
    found = compress(
        cartpole_teacher(), "CartPole-v1", students=["linear", "mlp:4"], student_wrapper=Late,
        **{**QUICK, "eval_episodes": 6, "select_episodes": 2},
    )  # fmt: skip
    assert found.student.view.wrapper["entry_point"] == f"{HERE}:Late"


@pytest.mark.parametrize(
    ("wrapper", "words"),
    [
        ("Noisy", "a student wrapper such as pkg:Noisy.*found 'Noisy'"),
        (f"{HERE}:Noisy:0.2", "a student wrapper such as"),
        (f"{HERE}:Noisy:std=[1", "a student wrapper such as"),
        ("nowhere_at_all:Noisy", "no package 'nowhere_at_all' is installed"),
        ("os:system", "expected the name of a package"),
        (f"{HERE}:Quiet", "found none at"),
        (f"{HERE}:QUICK", "found dict at"),
        (f"{HERE}:plain:x=1", "found function at"),
        (lambda env: env, "a file can name.*<lambda>"),
        (functools.partial(Noisy, std=np.zeros(2)), "the argument std of the environment is a ndarray"),
        (3, "student_wrapper must be a name"),
        (f"{HERE}:Skips", None),
        ("gymnasium.wrappers:TimeLimit:max_episode_steps=5", None),
        ("gymnasium.wrappers:ClipReward:max_reward=0.5", None),
        (f"{HERE}:Acts", "it changes the actions too"),
        (f"{HERE}:Breaks:how=badly", "cannot be put around .*ValueError: badly"),
        (f"{HERE}:forgetful", "to return an environment, it returned NoneType"),
        ("gymnasium.wrappers:NormalizeObservation", "keeps statistics across episodes"),
    ],
)
def test_what_is_no_wrapper_is_refused_in_one_line(wrapper, words):
    if words is None:
        with pytest.raises(RunFault, match="may only observe"):
            distill(cartpole_teacher(), "CartPole-v1", "mlp:8", student_wrapper=wrapper, **QUICK)
        return
    with pytest.raises(RequestError, match=words) as caught:
        distill(cartpole_teacher(), "CartPole-v1", "mlp:8", student_wrapper=wrapper, **QUICK)
    assert "\n" not in str(caught.value)


def test_environments_that_are_handed_over_must_have_it_already(noisy):
    student = load_student(noisy)
    with pytest.raises(RequestError, match="wrapped in Noisy already"):
        evaluate(student, plain(), 2)
    assert len(evaluate(student, Noisy(plain(), 0.2), 2).returns) == 2
    with pytest.raises(RequestError, match=r"expected an id, an EnvSpec or a callable: the student"):
        distill(cartpole_teacher(), plain(), "mlp:8", student_wrapper=Late, **QUICK)


def test_a_file_may_name_no_more_than_a_wrapper(noisy, tmp_path, capfd):
    student = load_student(noisy)
    for number, (entry_point, kwargs) in enumerate(
        [("missing_package:Noisy", {}), (f"{HERE}:plain", {"x": 1}), ("subprocess:call", {}), (f"{HERE}:QUICK", {})]
    ):
        path = tmp_path / f"{number}.safetensors"
        record = {**student.metadata, "view": {"wrapper": {"entry_point": entry_point, "kwargs": kwargs}}}
        write_sealed(path, student.tensors, record)
        assert load_student(path).act(np.zeros(4)) in (0, 1)
        assert main(["evaluate", str(path), "--env", "CartPole-v1", "--episodes", "2"]) == 2
        said = capfd.readouterr().err.strip().splitlines()
        assert said[0].startswith("seen by the student alone through: ") and len(said) == 2


class Pair(gymnasium.Env):
    """A Dict of two keys; some actions are ruled out."""

    observation_space = spaces.Dict(near=spaces.Box(-1.0, 1.0, (2,), np.float32), kind=spaces.Discrete(3))
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age = 0
        return self.look(), {}

    def step(self, action):
        assert self.action_masks()[action]
        self.age += 1
        return self.look(), float(action == self.age % 3), False, self.age == 20, {}

    def look(self):
        return {"near": self.np_random.uniform(-1, 1, 2).astype(np.float32), "kind": self.age % 3}

    def action_masks(self):
        return np.arange(3) != self.age % 3


class Dim(gymnasium.ObservationWrapper):
    """The near things, without their kind."""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = spaces.Dict(near=env.observation_space["near"])

    def observation(self, observation):
        return {"near": observation["near"] / 2}


def test_keys_and_action_masks_go_through_it(tmp_path):
    teacher = MaskablePPO("MultiInputPolicy", Pair(), n_steps=16, batch_size=8, seed=0, policy_kwargs={"net_arch": [4]})
    result = distill(teacher, Pair, "mlp:4", student_wrapper=Dim, out=tmp_path, **{**QUICK, "eval_episodes": 4})
    student = load_student(tmp_path / "student.safetensors")
    assert list(student.observation_space) == ["near"] and student.takes_action_masks
    assert result.comparison.student.lengths.tolist() == [20] * 4
    assert evaluate(student, Pair, 3, seed=1).n_episodes == 3
    assert export(student, tmp_path / "student.onnx", "onnx", env=Pair, n_states=64).parity.passed


def test_names_are_read_as_they_are_written():
    for text in ("gymnasium.wrappers:DelayObservation:delay=2", f"{HERE}:Noisy", f"{HERE}:Breaks:how='a, b'"):
        assert text_of(own_wrapper(text)) == text
    assert own_wrapper(functools.partial(Noisy, std=0.5)) == {"entry_point": f"{HERE}:Noisy", "kwargs": {"std": 0.5}}
    assert own_wrapper("") is None


def test_only_what_is_made_here_shows_both_sides():
    record = {**own_wrapper(Coarse), "name": "Coarse", "both": True}
    envs = open_environments("CartPole-v1", 2, [record])
    assert {key: sub.shape for key, sub in envs.observation_space.items()} == {"teacher/": (4,), "student/": (2,)}
    envs.close()
