import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from policy_distill.teachers.files.traces import trained_normalized
from policy_distill.teachers.files.zip_file import find_zip, read_zip
from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor
from tests.layouts import Steered, agent


class Precise(Steered):
    """Observations of float64, as MuJoCo's are."""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float64)

    def _obs(self):
        return super()._obs().astype(np.float64)


def off_policy(env):
    return SAC("MlpPolicy", env, learning_starts=8, buffer_size=200, device="cpu", policy_kwargs={"net_arch": [8]})


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: agent(), True),
        (lambda: agent(norm_reward=False), True),
        (lambda: agent(normalized=False), False),
        (lambda: agent(off_policy=True), None),
        (lambda: agent(normalized=False, off_policy=True), None),
        (lambda: off_policy(VecNormalize(DummyVecEnv([Precise]))).learn(32), True),
        (lambda: off_policy(VecNormalize(DummyVecEnv([Precise]), norm_obs=False)).learn(32), None),
        (lambda: off_policy(DummyVecEnv([Precise])).learn(32), None),
        (lambda: off_policy(DummyVecEnv([Precise])), None),
        (lambda: type(agent(normalized=False))("MlpPolicy", DummyVecEnv([Corridor]), device="cpu"), None),
    ],
)
def test_what_the_last_observations_tell(tmp_path, make, told, saved):
    model = make()
    data = vars(model)
    if saved:
        model.save(tmp_path / "agent.zip")
        data = read_zip(tmp_path / "agent.zip").data
    assert trained_normalized(data) is told


def test_a_model_that_was_given_a_new_environment_still_tells(tmp_path):
    model = agent()
    model.set_env(model.get_env())
    assert model._last_obs is None
    assert trained_normalized(vars(model)) is True


def test_every_agent_of_the_zoo_tells_the_truth_or_nothing(zoo):
    told = {}
    for folder in sorted(path.parent for path in zoo.glob("*/config.yml")):
        found = trained_normalized(read_zip(find_zip(folder)).data)
        assert found in (None, load_teacher(folder).normalizer is not None)
        told[folder.name] = found
    assert told["ppo-HalfCheetah-v3"] is True
    assert told["ppo-LunarLander-v2"] is False
