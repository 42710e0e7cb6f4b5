# %% [markdown]
# # Distil an agent of the RL Zoo
#
# At the end of this notebook you have a small student of a pre-trained agent, a proof of what it keeps, and its report.
# `AGENT` is a folder of the RL Zoo's trained agents, or an address of the hub such as `hf://sb3/ppo-LunarLander-v2`.

# %%
import os

AGENT = os.environ.get("POLICY_DISTILL_ZOO", "hf://sb3") + "/ppo-LunarLander-v2"
STEPS = 20_000

# %% [markdown]
# The agent is loaded without running code of its files. What belongs to it (statistics, wrappers, arguments) is found beside it.

# %%
from policy_distill import load_teacher

teacher = load_teacher(AGENT, env="LunarLander-v3")
print(f"{teacher.n_params:,} parameters, {teacher.provenance['algorithm']}")

# %% [markdown]
# `distill` collects, trains, stops by itself, and proves. `STEPS` is the most that it may collect.

# %%
from policy_distill import distill

result = distill(teacher, "LunarLander-v3", student="mlp:16", timesteps=STEPS, out="runs/notebook", overwrite=True)
print(result.retention)

# %% [markdown]
# The student is one file. It acts on raw observations, with NumPy alone.

# %%
import gymnasium

from policy_distill import load_student

student = load_student("runs/notebook/student.safetensors")
env = gymnasium.make("LunarLander-v3")
obs, _ = env.reset(seed=1)
total, ended = 0.0, False
while not ended:
    obs, reward, terminated, truncated, _ = env.step(student.act(obs))
    total += float(reward)
    ended = terminated or truncated
print(f"{student.n_params:,} parameters, a return of {total:.0f}")

# %% [markdown]
# `runs/notebook/report.html` shows curves, episodes, sizes and settings on one page.
