# %% [markdown]
# # Deploy to C, and check it
#
# At the end of this notebook you have a student as C99 without libraries, compiled, and shown to act as the student in Python.
# You need a C compiler (`cc`).

# %%
import os

AGENT = os.environ.get("POLICY_DISTILL_ZOO", "hf://sb3") + "/ppo-LunarLander-v2"
STEPS = 20_000

# %%
from policy_distill import distill

student = distill(AGENT, "LunarLander-v3", student="mlp:16", timesteps=STEPS, eval_episodes=0).student

# %% [markdown]
# `export` opens what it wrote and compares it with the student, on states that the student visits and on hostile ones. Where they
# differ, nothing is left on disk.

# %%
from policy_distill import export

written = export(student, "lander_c", "c", overwrite=True)
assert written.parity.passed

# %% [markdown]
# `policy_test.c` has recorded observations, and the actions that the Python student chose.

# %%
import subprocess

sources = ["lander_c/policy.c", "lander_c/policy_test.c"]
subprocess.run(["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", *sources, "-o", "lander_test"], check=True)
said = subprocess.run(["./lander_test"], check=True, capture_output=True, text=True).stdout
print(said)

# %% [markdown]
# A program of your own includes `policy.h`: `policy_reset()` when an episode begins, `policy_act(obs, action)` at every step.
