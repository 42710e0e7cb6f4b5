"""LunarLanderContinuous-v3: land on the pad; 8 observations, throttles of two engines in [-1, 1]. Needs `box2d`."""

from __future__ import annotations

from envs import lunar_lander

ENV_ID = "LunarLanderContinuous-v3"
SOLVED = 200.0
"""Mean return at which Gymnasium calls the task solved; good agents reach 270."""

TEACHER = lunar_lander.TEACHER
"""The same settings as for discrete commands, as in the RL Zoo."""

ZOO = ""
"""The folder of a pre-trained agent, in a folder of them; empty where there is none."""

VARIANTS, PERTURB = lunar_lander.VARIANTS, lunar_lander.PERTURB
"""The same physics to try."""
