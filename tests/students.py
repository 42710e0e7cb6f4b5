"""Students of every kind, with random weights: what engines and exporters are tried on."""

from dataclasses import replace

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from policy_distill.families.deterministic import Deterministic
from policy_distill.families.diagonal_gaussian import DiagonalGaussian
from policy_distill.families.squashed_gaussian import SquashedGaussian
from policy_distill.student.actions import ActionMap
from policy_distill.student.engines.torch_tree import TreeLayer
from policy_distill.student.features import Normalizer
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from policy_distill.student.spaces import describe_space
from policy_distill.student.tree import Tree
from policy_distill.student.view import view_of
from policy_distill.teachers.kinds.network import box_map, discrete_family
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec

BOX = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([1.0, 5.0], np.float32))
UNIT = spaces.Box(-1.0, 1.0, (3,), np.float32)
FREE = spaces.Box(-np.inf, np.inf, (2,), np.float64)
VECTOR = spaces.Box(-np.inf, np.inf, (5,), np.float32)

# name: (space, family of a Box or None, log σ)
ACTIONS = {
    "discrete": (spaces.Discrete(4), None, None),
    "offset": (spaces.Discrete(3, start=4), None, None),
    "multi_discrete": (spaces.MultiDiscrete([2, 3]), None, None),
    "multi_binary": (spaces.MultiBinary(3), None, None),
    "gaussian": (BOX, DiagonalGaussian, "vector"),
    "matrix": (spaces.Box(-1.0, 2.0, (2, 2), np.float32), DiagonalGaussian, "vector"),
    "gaussian_head": (UNIT, DiagonalGaussian, "head"),
    "squashed": (BOX, SquashedGaussian, "head"),
    "squashed_unit": (UNIT, SquashedGaussian, "vector"),
    "deterministic": (BOX, Deterministic, None),
    "deterministic_clip": (BOX, Deterministic, None),
    "deterministic_free": (FREE, Deterministic, None),
}
OBSERVATIONS = {
    "vector": VECTOR,
    "doubles": spaces.Box(-np.inf, np.inf, (5,), np.float64),
    "far": spaces.Box(-np.inf, np.inf, (5,), np.float64),
    "unnormalized": VECTOR,
    "matrix": spaces.Box(-1.0, 1.0, (2, 3), np.float64),
    "whole_numbers": spaces.Box(-5, 100, (3,), np.int16),
    "discrete": spaces.Discrete(4, start=2),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(4),
    "image_last": spaces.Box(0, 255, (12, 10, 1), np.uint8),
    "image_first": spaces.Box(0, 255, (3, 12, 10), np.uint8),
    "board": spaces.Box(0, 3, (6, 6, 2), np.uint8),
    "codes": spaces.Dict(view=spaces.Box(0, 9, (4, 4, 3), np.uint8), picture=spaces.Box(0, 255, (4, 4, 1), np.uint8)),
    "dict": spaces.Dict(
        speed=spaces.Box(-1.0, 1.0, (2,)), view=spaces.Box(0, 255, (6, 5, 1), np.uint8), kind=spaces.Discrete(3)
    ),
    "float_last": spaces.Box(0.0, 1.0, (12, 10, 2), np.float32),
    "float_first": spaces.Box(-np.inf, np.inf, (3, 12, 10), np.float64),
    "camera": spaces.Dict(camera=spaces.Box(0, 255, (12, 10, 3), np.uint8), speed=spaces.Box(-1.0, 1.0, (2,))),
    "depth": spaces.Dict(depth=spaces.Box(0.0, 9.0, (1, 10, 12), np.float32), kind=spaces.Discrete(3)),
    "part_of_vector": VECTOR,
    "part_of_dict": spaces.Dict(speed=spaces.Box(-1.0, 1.0, (3,)), bits=spaces.MultiBinary(4), kind=spaces.Discrete(3)),
}
SEEN = {"part_of_vector": ("1", "3-4"), "part_of_dict": ("kind", "speed:0", "speed:2")}
"""What students see of these, where it is not all."""
# (observations, actions, network, activation): each observation and each action once, networks and activations in turn.
# "slim" are some as they are deployed; one that observes a vector does not look at its second feature.
KINDS = [
    *[("vector", action, "mlp:16,8", "tanh") for action in ACTIONS],
    *[(obs, "discrete", "mlp:8", "relu") for obs in OBSERVATIONS if obs != "vector"],
    ("doubles", "gaussian", "mlp:64,64", "relu"),
    ("far", "squashed", "mlp:8", "tanh"),
    ("vector", "discrete", "linear", "tanh"),
    ("unnormalized", "squashed", "linear", "tanh"),
    ("image_first", "gaussian", "cnn:4,4", "relu"),
    ("image_last", "multi_discrete", "cnn:4", "tanh"),
    ("dict", "squashed", "mlp:8,8", "tanh"),
    ("board", "discrete", "cnn:4", "relu"),
    ("float_last", "gaussian", "cnn:4", "tanh"),
    ("float_first", "discrete", "cnn:4,4+mlp:8", "relu"),
    ("image_last", "squashed", "cnn:4+mlp:8,8", "relu"),
    ("camera", "multi_discrete", "cnn:4,4+mlp:8", "relu"),
    ("camera", "gaussian", "cnn:4", "tanh"),
    ("depth", "squashed", "cnn:4+mlp:8", "tanh"),
    ("depth", "discrete", "cnn:4", "relu", "slim"),
    ("part_of_vector", "squashed", "mlp:8", "tanh"),
    ("part_of_vector", "discrete", "mlp:8", "tanh", "slim"),
    ("vector", "discrete", "mlp:16,8", "tanh", "slim"),
    ("unnormalized", "offset", "linear", "tanh", "slim"),
    ("doubles", "multi_discrete", "mlp:8", "relu", "slim"),
    ("vector", "gaussian", "mlp:16,8", "tanh", "slim"),
    ("matrix", "gaussian_head", "linear", "tanh", "slim"),
    ("vector", "squashed", "mlp:8", "relu", "slim"),
    ("dict", "discrete", "mlp:8", "tanh", "slim"),
    ("image_last", "multi_discrete", "cnn:4", "tanh", "slim"),
    ("unnormalized", "discrete", "tree:16", "tanh"),
    ("doubles", "multi_discrete", "tree:8", "tanh"),
    ("matrix", "gaussian_head", "tree:8", "tanh"),
    ("whole_numbers", "multi_binary", "tree:5", "tanh"),
    ("multi_discrete", "squashed", "tree:6", "tanh"),
    ("unnormalized", "offset", "oblique_tree:16", "tanh"),
    ("matrix", "gaussian", "oblique_tree:8", "tanh"),
    ("doubles", "deterministic", "oblique_tree:5", "tanh"),
    ("unnormalized", "squashed_unit", "oblique_tree:4", "tanh"),
    ("unnormalized", "discrete", "oblique_tree:1", "tanh"),
    ("unnormalized", "discrete", "tree:8", "tanh", "slim"),
]

# Those that remember: tried along episodes, one observation after another.
MEMORY_KINDS = [
    ("vector", "discrete", "gru:16", "tanh"),
    ("unnormalized", "gaussian", "gru:5+mlp:7", "relu"),
    ("far", "squashed", "gru:4", "tanh"),
    ("doubles", "gaussian_head", "gru:6+mlp:8,8", "tanh"),
    ("dict", "multi_discrete", "gru:5", "tanh"),
    ("multi_discrete", "multi_binary", "gru:4+mlp:4", "tanh"),
    ("matrix", "deterministic", "gru:17", "tanh"),
    ("vector", "squashed", "history:3+mlp:8", "tanh"),
    ("doubles", "discrete", "history:4", "tanh"),
    ("far", "gaussian", "history:2+mlp:8", "relu"),
    ("dict", "offset", "history:3+mlp:4", "tanh"),
    ("whole_numbers", "deterministic", "history:3+mlp:8", "relu"),
    ("vector", "discrete", "history:4a+mlp:8", "tanh"),
    ("doubles", "offset", "history:2a+mlp:4", "relu"),
    ("far", "squashed", "history:3a+mlp:8", "tanh"),
    ("vector", "gaussian", "history:3a+mlp:8", "tanh"),
    ("unnormalized", "gaussian_head", "history:3a", "tanh"),
    ("matrix", "matrix", "history:2a+mlp:8,8", "tanh"),
    ("dict", "multi_discrete", "history:3a+mlp:4", "tanh"),
    ("vector", "multi_binary", "history:3a+mlp:8", "tanh"),
    ("vector", "deterministic_free", "history:3a+mlp:8", "tanh"),
    ("part_of_vector", "multi_discrete", "history:3a+mlp:8", "tanh"),
]


def name_of(kind):
    return "-".join(kind)


def make_student(kind, seed=0):
    """Return a student of that kind, as it is deployed where it says so."""
    return slim(make_whole(kind, seed)) if "slim" in kind else make_whole(kind, seed)


def make_whole(kind, seed=0):
    """Return a student of that kind as it was trained."""
    obs, action, network, activation, *form = kind
    space, continuous, log_std = ACTIONS[action]
    if continuous is None:
        family, action_map = discrete_family(space)
    else:
        family = continuous(int(np.prod(space.shape)))
        action_map = box_map(space, squashed=action.startswith("squashed") or action == "deterministic")
    if action == "deterministic_free":
        action_map = ActionMap("none", space.shape, str(space.dtype), space.low, space.high)
    whole = describe_space(OBSERVATIONS[obs])
    view = view_of(whole, SEEN.get(obs, ()), obs)
    spec = StudentSpec(
        network=network,
        activation=activation,
        family=family,
        log_std=log_std,
        observation_space=view.space if view.whole else whole,
        action_space=describe_space(space),
        action_map=action_map,
        normalizer=view.statistics(_normalizer(obs)),
        view=view,
    )
    if "tree" in network:
        network_of_tree = nn.Sequential(TreeLayer(random_tree(spec, seed)))
        policy = StudentPolicy(replace(spec, normalizer=None), torch.Generator(), network_of_tree)
        return Student.of(policy.to_record({"env_id": "Test-v0", "env_wrappers": []}))
    policy = StudentPolicy(spec, torch.Generator().manual_seed(seed))
    noise = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in policy.parameters():
            # Of the size that trained weights have; the last layer starts near zero.
            parameter.add_(torch.randn(parameter.shape, generator=noise) / max(1, parameter[0].numel()) ** 0.5)
    if form and isinstance(policy.network[0], torch.nn.Linear):
        policy.network[0].weight.data[:, 1] = 0.0
    return Student.of(policy.to_record({"env_id": "Test-v0", "env_wrappers": []}))


def random_tree(spec, seed):
    """Return a tree of as many leaves as the specification has, whose splits divide what is observed."""
    kind, _, n_leaves = spec.network.partition(":")
    rng, n, size = np.random.default_rng(seed), int(n_leaves) - 1, spec.featurizer.shape[0]
    branches, open_ = np.zeros((n, 2), np.int32), [(0, 0), (0, 1)]
    for split in range(1, n):
        branches[open_.pop(rng.integers(len(open_)))] = split
        open_ += [(split, 0), (split, 1)]
    for leaf, place in enumerate(open_ if n else []):
        branches[place] = -1 - leaf
    counts = rng.integers(1, size + 1, n) if kind == "oblique_tree" else np.ones(n, int)
    features = [np.sort(rng.permutation(size)[:count]) for count in counts]
    terms = {}
    if kind == "oblique_tree":
        terms["coefficient"] = rng.normal(size=counts.sum()).astype(np.float32)
        terms["start"] = np.cumsum([0, *counts]).astype(np.int32)
    mean, deviation = (10.0, 20.0) if spec.observation_space.get("dtype") == "int16" else (0.3, 0.5)
    threshold = rng.normal(mean, deviation, n).astype(np.float32)
    feature = np.concatenate([np.zeros(0), *features]).astype(np.int32)
    return Tree(threshold, branches, feature, rng.normal(size=(n + 1, spec.n_outputs)).astype(np.float32), **terms)


def sample_observations(kind, count=64, seed=0):
    """Return a batch of what is observed in the space; unbounded ones are drawn around their statistics."""
    view = view_of(describe_space(OBSERVATIONS[kind[0]]), SEEN.get(kind[0], ()), kind[0])
    seen = view.narrow(_sampled(kind, count, seed))
    return {key: seen[key] for key in view.keys} if view.keys else seen


def _sampled(kind, count, seed):
    space = OBSERVATIONS[kind[0]]
    rng = np.random.default_rng(seed)
    space.seed(seed)
    if kind[0] == "far":
        return 1000.0 + rng.normal(0, 3, (count, 5))
    if isinstance(space, spaces.Box) and not space.is_bounded():
        return rng.normal(0, 2, (count, *space.shape)).astype(space.dtype)
    drawn = [space.sample() for _ in range(count)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([one[key] for one in drawn]) for key in space.spaces}
    return np.stack(drawn)


def one_of(obs, index):
    return {key: value[index] for key, value in obs.items()} if isinstance(obs, dict) else obs[index]


def _normalizer(obs):
    space = OBSERVATIONS[obs]
    if obs == "codes":
        return {"view": Normalizer(np.full((4, 4, 3), 4.5), np.full((4, 4, 3), 8.0))}
    if obs in ("vector", "part_of_vector", "doubles", "matrix", "whole_numbers", "board"):
        size = int(np.prod(space.shape))
        return Normalizer(
            np.linspace(-1, 1, size).reshape(space.shape), np.linspace(0.5, 2, size).reshape(space.shape), clip=3.0
        )
    if obs == "far":
        return Normalizer(np.full(5, 1000.0), np.full(5, 4.0), clip=10.0)
    if obs.startswith("float"):
        return Normalizer(np.full(space.shape, 0.4), np.full(space.shape, 0.3), clip=3.0)
    if obs == "camera":
        return {"speed": Normalizer(np.array([0.1, -0.1]), np.array([0.5, 0.2]), clip=10.0)}
    if obs == "depth":
        return {"depth": Normalizer(np.full((1, 10, 12), 4.0), np.full((1, 10, 12), 8.0))}
    if obs == "part_of_dict":
        return {"speed": Normalizer(np.array([0.1, -0.1, 0.0]), np.array([0.5, 0.2, 0.1]), clip=10.0)}
    if obs == "dict":
        return {"speed": Normalizer(np.array([0.1, -0.1]), np.array([0.5, 0.2]), clip=10.0)}
    return None
