import numpy as np
import pytest
import torch

from policy_distill.networks.table import KINDS, make_network
from policy_distill.run.distill import distill
from policy_distill.system import threads
from policy_distill.system.threads import threads_for
from tests.doubles import Corridor, corridor_teacher


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("n_params", "expected"), [(0, 1), (threads.WIDE - 1, 1), (threads.WIDE, 2)])
def test_a_network_that_is_not_there_yet_counts_as_one_that_is(n_params, expected):
    with threads_for(corridor_teacher(), n_params=n_params):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


class Watching:
    """A tracker that notes how many threads there are while a student trains."""

    def __init__(self):
        self.seen = set()

    def log(self, metrics, step):
        self.seen.add(torch.get_num_threads())

    def summary(self, values):
        pass

    def artifact(self, path, kind, metadata):
        pass

    def close(self):
        pass


@pytest.mark.parametrize(("student", "expected"), [("mlp:4", {1}), ("mlp:64,64", {2})])
def test_a_wide_student_of_a_small_teacher_trains_on_all_threads_and_is_the_same_again(student, expected, monkeypatch):
    monkeypatch.setattr(threads, "WIDE", 4000)
    made = []
    for _ in range(2):
        tracker = Watching()
        settings = {"timesteps": 256, "n_steps": 16, "eval_episodes": 0, "select_episodes": 2, "seed": 3}
        made.append(distill(corridor_teacher(), Corridor, student, tracker=tracker, **settings).student)
        assert tracker.seen == expected
    first, second = (one.tensors for one in made)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("spec", ["linear", "mlp:5", "mlp:7,3", "cnn:4", "cnn:4,8"])
@pytest.mark.parametrize("shape", [(6,), (3, 20, 24)])
def test_a_networks_size_is_known_before_it_is_made(spec, shape):
    assert spec.partition(":")[0] in KINDS
    if spec.startswith("cnn") and len(shape) == 1:
        pytest.skip("of images alone")
    network = make_network(spec, "relu")
    built = network.build(shape, 4, torch.Generator().manual_seed(0))
    assert network.n_params(shape, 4) == sum(parameter.numel() for parameter in built.parameters())
