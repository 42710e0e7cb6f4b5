"""Hashes of the students of eight runs: the same before and after a change that is to change nothing.

    python -m tests.golden_runs > before.txt        # needs POLICY_DISTILL_ZOO

Equal on one machine only, so they are compared and not kept.
"""

import hashlib
import os
import warnings
from pathlib import Path

import gymnasium
import numpy as np
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO

from policy_distill.run.distill import distill
from tests.run.test_resume import Moving

ZOO = Path(os.environ["POLICY_DISTILL_ZOO"])


class Pair(gymnasium.Env):
    """A Dict of two vectors; some actions are ruled out."""

    observation_space = gymnasium.spaces.Dict(
        near=gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32), far=gymnasium.spaces.Box(-5.0, 5.0, (3,), np.float32)
    )
    action_space = gymnasium.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age = 0
        return self.look(), {}

    def step(self, action):
        self.age += 1
        return self.look(), float(action == self.age % 3), False, self.age == 20, {}

    def look(self):
        drawn = self.np_random.uniform(-1, 1, 5).astype(np.float32)
        return {"near": drawn[:2], "far": 5 * drawn[2:]}

    def action_masks(self):
        return np.arange(3) != self.age % 4


def zip_of(folder):
    return next((ZOO / folder).glob("*.zip"))


def untrained(algorithm, policy, env, **settings):
    return algorithm(policy, env, n_steps=32, batch_size=32, seed=0, **settings)


def runs():
    """Yield name, teacher, environment, student and steps."""
    yield "cartpole", zip_of("qrdqn-CartPole-v1"), "CartPole-v1", "mlp:8", 4096
    yield "lander", zip_of("ppo-LunarLander-v2"), "LunarLander-v3", "mlp:16,16", 4096
    yield "pendulum", zip_of("sac-Pendulum-v1"), "Pendulum-v1", "mlp:8", 4096
    yield "cheetah", zip_of("ppo-HalfCheetah-v3"), "HalfCheetah-v4", "mlp:32", 2048
    yield "dict", untrained(PPO, "MultiInputPolicy", Pair()), Pair, "mlp:8", 2048
    yield "masks", untrained(MaskablePPO, "MultiInputPolicy", Pair()), Pair, "mlp:8", 2048
    recurrent = untrained(RecurrentPPO, "MlpLstmPolicy", gymnasium.make("CartPole-v1"))
    yield "recurrent", recurrent, "CartPole-v1", "mlp:8", 2048
    image = untrained(PPO, "CnnPolicy", Moving(), policy_kwargs={"net_arch": [4]})
    yield "image", image, Moving, "cnn:4", 512


def main():
    """Print a line a run: its name, and the hash of its student's arrays and agreement."""
    warnings.simplefilter("ignore")
    for name, teacher, env, student, timesteps in runs():
        settings = {"seed": 3, "eval_episodes": 4, "select_episodes": 2, "sampled_teacher": False}
        result = distill(teacher, env, student, timesteps=timesteps, **settings)
        digest = hashlib.sha256()
        for key, array in sorted(result.student.tensors.items()):
            digest.update(key.encode() + array.tobytes())
        digest.update(repr((result.evaluation["agreement"], result.evaluation["episodes"])).encode())
        print(name, digest.hexdigest()[:16], flush=True)


if __name__ == "__main__":
    main()
