"""Students of random weights for several tasks, and buffers of random states."""

import numpy as np
import torch
from gymnasium import spaces

from policy_distill.families.categorical import Categorical
from policy_distill.losses.batch import Batch
from policy_distill.student.actions import ActionMap
from policy_distill.student.spaces import describe_space
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec


def policies_of(sizes, widths):
    """Return a student for each task of so many inputs and actions, with hidden layers of `widths`."""
    found = {}
    for number, (task, (n_in, n_out)) in enumerate(sizes.items()):
        spec = StudentSpec(
            network=f"mlp:{','.join(map(str, widths))}",
            activation="tanh",
            family=Categorical(n_out),
            log_std=None,
            observation_space=describe_space(spaces.Box(-np.inf, np.inf, (n_in,), np.float32)),
            action_space=describe_space(spaces.Discrete(n_out)),
            action_map=ActionMap("index", (), "int64"),
            normalizer=None,
        )
        policy = StudentPolicy(spec, torch.Generator().manual_seed(number))
        for parameter in policy.parameters():
            # Heads begin near zero, which would hide what they do.
            parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9)))
        found[task] = policy
    return found


def shapes_of(sizes, widths):
    """Return the shapes of such students' arrays."""
    return {
        task: {name: tuple(value.shape) for name, value in policy.state_dict().items()}
        for task, policy in policies_of(sizes, widths).items()
    }


class Drawn:
    """Minibatches of random states with random labels."""

    def __init__(self, n_in, n_out, seed):
        generator = torch.Generator().manual_seed(seed)
        self.features = torch.randn(64, n_in, generator=generator)
        self.labels = 2.0 * torch.randn(64, n_out, generator=generator)

    def minibatches(self, n, batch_size, generator):
        for rows in torch.randint(64, (n, batch_size), generator=generator):
            yield Batch(self.features[rows], self.labels[rows])
