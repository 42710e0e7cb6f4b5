# %% [markdown]
# # Find the smallest student
#
# At the end of this notebook you have the smallest network that is proven to keep 95% of what an agent gains over a random policy.

# %%
import os

AGENT = os.environ.get("POLICY_DISTILL_ZOO", "hf://sb3") + "/qrdqn-CartPole-v1"
STEPS = 5_000

# %% [markdown]
# You name the share to keep in place of a network. Many students learn from one stream of labelled states.

# %%
from policy_distill import compress

found = compress(AGENT, "CartPole-v1", retention=0.95, timesteps=STEPS, students=("linear", "mlp:2", "mlp:4"))
print("proven" if found.proven else found.record.advice)

# %% [markdown]
# The front: for each size, the best that was found. Only what is *proven* has a lower bound of its own.

# %%
for point in found.front:
    print(f"{point.spec:10} {point.student.n_params:5,} parameters  {'proven' if point.proven else ''}")

# %% [markdown]
# The winner is a student like any other.

# %%
found.student.save("smallest.safetensors")
print(found.student.n_params, "parameters")
