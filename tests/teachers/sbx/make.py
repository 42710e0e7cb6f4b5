"""Wrote the agents of this folder: `pip install sbx-rl`, then `python make.py` here. They are small and know nothing.

Beside each lie some observations and the actions that SBX takes there.
"""

import zipfile
from pathlib import Path

import gymnasium as gym
import numpy as np
from sbx import DQN, PPO, SAC, TD3

HERE = Path(__file__).parent
AGENTS = {"ppo-CartPole-v1": PPO, "ppo-Pendulum-v1": PPO, "sac-Pendulum-v1": SAC, "td3-Pendulum-v1": TD3}
AGENTS |= {"dqn-CartPole-v1": DQN}


def main():
    for name, algorithm in AGENTS.items():
        env_id = name.partition("-")[2]
        own = {"n_steps": 64} if algorithm is PPO else {"learning_starts": 10}
        model = algorithm("MlpPolicy", env_id, seed=0, policy_kwargs={"net_arch": [8, 8]}, **own)
        model.learn(128)
        model.save(HERE / "raw.zip")
        with (
            zipfile.ZipFile(HERE / "raw.zip") as raw,
            zipfile.ZipFile(HERE / f"{name}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as small,
        ):
            for member in raw.namelist():
                small.writestr(member, raw.read(member))
        (HERE / "raw.zip").unlink()
        shape = gym.make(env_id).observation_space.shape
        obs = np.random.default_rng(0).normal(size=(16, *shape)).astype(np.float32)
        np.savez(HERE / f"{name}.npz", obs=obs, actions=model.predict(obs, deterministic=True)[0])


if __name__ == "__main__":
    main()
