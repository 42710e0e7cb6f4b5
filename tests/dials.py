"""A package that registers an environment whose constructor's argument decides everything, and a teacher for it."""

import gymnasium
import torch
from stable_baselines3 import PPO

PACKAGE = '''
import gymnasium
import numpy as np
from gymnasium import spaces


class Dial(gymnasium.Env):
    """One of four lamps is lit; the right answer is the lamp `shift` further on."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, shift=0, size=(4,), render_mode=None):
        self.shift = shift
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, size, np.float32)
        self.action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = 0
        return self._look(), {}

    def step(self, action):
        reward = float(action == (self.lit + self.shift) % 4)
        self.n += 1
        return self._look(), reward, False, self.n >= 10, {}

    def render(self):
        return np.full((64, 64, 3), 60 * self.lit, np.uint8)

    def _look(self):
        self.lit = int(self.np_random.integers(4))
        return np.eye(4, dtype=np.float32)[self.lit]


class Reward(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    def __init__(self, env, scale=1.0):
        gymnasium.utils.RecordConstructorArgs.__init__(self, scale=scale)
        super().__init__(env)
        self.scale = scale

    def step(self, action):
        obs, reward, *rest = self.env.step(action)
        return obs, reward * self.scale, *rest


gymnasium.register("Dial-v0", "NAME:Dial")
'''


def write_package(folder, name):
    """Write a package that registers Dial-v0 as it is imported."""
    (folder / f"{name}.py").write_text(PACKAGE.replace("NAME", name))


def write_teacher(path, env, shift):
    """Write the zip of a PPO agent that answers for `shift`."""
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": []})
    with torch.no_grad():
        model.policy.action_net.weight.copy_(20.0 * torch.eye(4).roll(shift, 0))
        model.policy.action_net.bias.zero_()
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return path


def forget():
    """Take the environment out of Gymnasium's registry, as a new process has it."""
    gymnasium.registry.pop("Dial-v0", None)
