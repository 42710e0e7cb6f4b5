import logging

import gymnasium
import numpy as np
import pytest
import yaml
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from policy_distill.environments.make import successor
from policy_distill.environments.open import open_environments
from policy_distill.environments.wrappers import FrameStack, apply_wrappers, parse_wrapper
from policy_distill.errors import RequestError
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.run.distill import distill
from policy_distill.teachers.files.zoo_config import environment_of, read_config
from policy_distill.teachers.files.zoo_wrappers import wrappers_of
from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor

ZOO = """!!python/object/apply:collections.OrderedDict
- - - env_wrapper
    - {wrapper}
  - - frame_stack
    - {stack}
  - - n_timesteps
    - 1000.0
  - - policy
    - MlpPolicy
"""


def write(folder, wrapper="null", stack="null"):
    (folder / "config.yml").write_text(ZOO.format(wrapper=wrapper, stack=stack))
    return folder / "agent.zip"


def test_frames_are_stacked_as_sb3_stacks_them():
    ours = FrameStack(Corridor(), 3)
    theirs = VecFrameStack(DummyVecEnv([Corridor]), 3)
    assert ours.observation_space.shape == theirs.observation_space.shape
    assert np.array_equal(ours.reset()[0], theirs.reset()[0])
    for _ in range(5):
        assert np.array_equal(ours.step(1)[0], theirs.step([1])[0][0])


def test_the_zoos_configuration_names_the_wrappers(tmp_path):
    zip_path = write(tmp_path, "sb3_contrib.common.wrappers.TimeFeatureWrapper", "2")
    assert [spec["name"] for spec in wrappers_of(zip_path)] == ["TimeFeatureWrapper", "FrameStack"]
    write(tmp_path, "[{utils.wrappers.TimeFeatureWrapper: {test_mode: true}}]")
    assert wrappers_of(zip_path) == [{"name": "TimeFeatureWrapper", "kwargs": {"test_mode": True}}]
    write(tmp_path)
    assert wrappers_of(zip_path) == []
    (tmp_path / "config.yml").unlink()
    assert wrappers_of(zip_path) == []


def test_an_unknown_wrapper_stops_and_one_of_training_is_warned_of(tmp_path, caplog):
    with pytest.raises(RequestError, match=r"my\.own\.Wrapper.*--wrapper none"):
        wrappers_of(write(tmp_path, "my.own.Wrapper"))
    with caplog.at_level(logging.WARNING, "policy_distill"):
        assert wrappers_of(write(tmp_path, "gymnasium.wrappers.TimeLimit")) == []
    assert "TimeLimit" in caplog.text


@pytest.mark.parametrize(
    "attack",
    [
        "!!python/object/apply:os.system ['touch {witness}']",
        "!!python/object/new:os.system ['touch {witness}']",
        "a: !!python/name:os.system ''",
        "!!python/object/apply:subprocess.Popen [['touch', '{witness}']]",
        "[unclosed",
        "- a list",
    ],
)
def test_a_configuration_runs_nothing(tmp_path, attack):
    witness = tmp_path / "payload-ran"
    (tmp_path / "config.yml").write_text(attack.format(witness=witness))
    with pytest.raises(RequestError):
        read_config(tmp_path / "agent.zip", "config.yml")
    assert not witness.exists()


def test_the_payload_would_run_under_the_unsafe_loader(tmp_path):
    witness = tmp_path / "payload-ran"
    yaml.unsafe_load(f"!!python/object/apply:os.system ['touch {witness}']")
    assert witness.exists()


def test_a_teacher_with_a_time_feature_is_distilled_from_its_folder_alone(tmp_path):
    wrapped = apply_wrappers(gymnasium.make("Pendulum-v1"), [{"name": "TimeFeatureWrapper", "kwargs": {}}])
    PPO("MlpPolicy", wrapped, n_steps=16, batch_size=16, device="cpu").save(write(tmp_path))
    write(tmp_path, "sb3_contrib.common.wrappers.TimeFeatureWrapper")
    teacher = load_teacher(tmp_path, env="Pendulum-v1")
    assert teacher.observation_space.shape == (4,)
    result = distill(teacher, "Pendulum-v1", "mlp:4", timesteps=256, n_steps=16, eval_episodes=2)
    assert result.student.env_wrappers == [{"name": "TimeFeatureWrapper", "kwargs": {}}]
    assert evaluate(result.student, "Pendulum-v1", 2).n_episodes == 2
    (tmp_path / "config.yml").unlink()
    with pytest.raises(RequestError, match="does not fit"):
        load_teacher(tmp_path, env="Pendulum-v1")
    assert load_teacher(tmp_path, env="Pendulum-v1", wrappers=["TimeFeatureWrapper"]).env_wrappers


def test_wrappers_by_hand_are_parsed():
    assert parse_wrapper("FrameStack:n_stack=3") == {"name": "FrameStack", "kwargs": {"n_stack": 3}}
    for bad in ("Nonsense", "FrameStack:n_stack=x"):
        with pytest.raises(RequestError):
            parse_wrapper(bad)
    with pytest.raises(RequestError, match="cannot be applied"):
        apply_wrappers(Corridor(), [{"name": "FrameStack", "kwargs": {"frames": 3}}])


@pytest.mark.parametrize(
    ("n_stack", "message"),
    [(float("nan"), "found nan"), (10**6, "found 1000000"), (2**20_000, "found int"), (2.5, "cannot be applied")],
    ids=["nan", "million", "6,000 digits", "half"],
)
def test_frames_of_a_file_are_few_and_whole(n_stack, message):
    with pytest.raises(RequestError, match=message):
        apply_wrappers(Corridor(), [{"name": "FrameStack", "kwargs": {"n_stack": n_stack}}])


def test_stacks_of_stacks_and_long_lists_of_wrappers_are_refused_before_they_take_memory():
    with pytest.raises(RequestError, match="stacked frames of at most"):
        apply_wrappers(Corridor(), [{"name": "FrameStack", "kwargs": {"n_stack": 60}}] * 12)
    with pytest.raises(RequestError, match="at most 16 wrappers, found 900"):
        apply_wrappers(Corridor(), [{"name": "TimeFeatureWrapper", "kwargs": {}}] * 900)


def test_a_callable_is_wrapped_as_an_id_is_and_what_is_handed_over_stays_as_it_is():
    specs = [{"name": "FrameStack", "kwargs": {"n_stack": 2}}]
    assert open_environments("CartPole-v1", 1, specs).observation_space.shape == (8,)
    assert open_environments(lambda: gymnasium.make("CartPole-v1"), 1, specs).observation_space.shape == (8,)


@pytest.mark.parametrize(
    ("retired", "newest"),
    [("LunarLander-v2", "LunarLander-v3"), ("HalfCheetah-v3", "HalfCheetah-v5"), ("CartPole-v1", None), ("X-v0", None)],
)
def test_a_retired_environment_has_a_successor(retired, newest):
    assert successor(retired) == newest


def test_the_error_of_a_retired_environment_names_its_successor():
    for retired, newest in {"LunarLander-v2": "LunarLander-v3", "HalfCheetah-v3": "HalfCheetah-v5"}.items():
        with pytest.raises(RequestError, match=f"nearest: {newest}"):
            open_environments(retired, 1)


def test_the_environment_is_found_beside_the_agent(zoo):
    assert environment_of(zoo / "trpo-Swimmer-v3" / "Swimmer-v3.zip") == "Swimmer-v3"
    assert environment_of(zoo / "nowhere" / "Hopper-v3.zip") == "Hopper-v3"
