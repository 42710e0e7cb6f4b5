import re

import gymnasium
import numpy as np
import pytest

from policy_distill.config import DistillConfig
from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.training import memory
from policy_distill.training.memory import capacity_of, check_memory, free_memory, size_text
from tests.doubles import Corridor, corridor_teacher

VECTOR = gymnasium.spaces.Box(-1, 1, (3,), np.float64)
IMAGE = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
MIXED = gymnasium.spaces.Dict(a=VECTOR, b=gymnasium.spaces.Discrete(5))


@pytest.mark.parametrize(("space", "n_bytes"), [(VECTOR, 12), (IMAGE, 84 * 84 * 4), (MIXED, 4 * (3 + 5))])
def test_a_state_takes_its_features_and_its_label(space, n_bytes):
    assert check_memory(DistillConfig(timesteps=100), 8, space, 6).state_bytes == n_bytes + 4 * 6


def test_the_computed_bytes_are_those_of_the_buffer():
    from policy_distill.student.features import Featurizer
    from policy_distill.student.spaces import describe_space
    from policy_distill.training.buffer import Buffer
    from policy_distill.training.stores import make_store

    found = check_memory(DistillConfig(timesteps=1000), 8, VECTOR, 6)
    assert found.n_bytes == Buffer(make_store(Featurizer(describe_space(VECTOR)), 1008, 8), 6).n_bytes
    stacked = check_memory(DistillConfig(timesteps=1000), 8, IMAGE, 6, n_stack=4)
    assert stacked.n_bytes == Buffer(make_store(Featurizer(describe_space(IMAGE)), 1008, 8, 4), 6).n_bytes
    assert re.fullmatch(r"buffer: 1,008 states \(of 4 frames, shared\) of 7,\d+ bytes, 7.7 MiB, .* free", str(stacked))
    assert found.capacity == capacity_of(DistillConfig(timesteps=1000), 8) == 1008
    assert capacity_of(DistillConfig(buffer="latest", n_steps=16), 8) == 128
    assert capacity_of(DistillConfig(buffer_size=50), 8) == 50


def test_too_large_a_buffer_is_refused_with_the_size_that_fits(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * 10**6)
    before = tmp_path / "run"
    before.mkdir()
    (before / "evaluation.json").write_text("of a run before")
    arguments = {"timesteps": 10**6, "n_envs": 4, "eval_episodes": 0}
    with pytest.raises(RequestError, match=r"--buffer-size \d+ \(or --timesteps \d+\)") as error:
        distill(corridor_teacher(), Corridor, "linear", out=before, overwrite=True, **arguments)
    assert (before / "evaluation.json").exists(), "a request that is refused must not have cleared the folder"
    fit = int(re.search(r"--buffer-size (\d+)", str(error.value))[1])
    assert fit == 10**6 // (4 * 2 + 4 * 2)
    timesteps = int(re.search(r"--timesteps (\d+)", str(error.value))[1])
    for accepted in ({"buffer_size": fit}, {"timesteps": timesteps}):
        check_memory(DistillConfig(**{**arguments, **accepted}), 4, Corridor().observation_space, 2)
    with pytest.raises(RequestError, match="states would fit"):
        check_memory(DistillConfig(**{**arguments, "buffer_size": fit + 1}), 4, Corridor().observation_space, 2)


def test_where_one_step_of_all_environments_is_too_much_only_the_buffer_is_named(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 6 * 84 * 84 * 4)
    with pytest.raises(RequestError, match=r"set --buffer-size 2$"):
        check_memory(DistillConfig(timesteps=100), 8, IMAGE, 6)
    check_memory(DistillConfig(timesteps=100, buffer_size=2), 8, IMAGE, 6)


def test_of_stacked_frames_more_states_fit(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: 2 * 10**6)
    config = DistillConfig(timesteps=10**6)
    fits = []
    for n_stack in (1, 4):
        with pytest.raises(RequestError) as error:
            check_memory(config, 4, IMAGE, 6, n_stack)
        fits.append(int(re.search(r"--buffer-size (\d+)", str(error.value))[1]))
        check_memory(DistillConfig(timesteps=10**6, buffer_size=fits[-1]), 4, IMAGE, 6, n_stack)
        with pytest.raises(RequestError, match="would fit"):
            check_memory(DistillConfig(timesteps=10**6, buffer_size=fits[-1] + 1), 4, IMAGE, 6, n_stack)
    assert fits[0] == 10**6 // (4 * 84 * 84 + 24)
    assert fits[1] > 3.4 * fits[0]


def test_the_bytes_are_shown_before_the_first_step(capsys):
    class Silent(Corridor):
        def reset(self, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distill(corridor_teacher(), Silent, "linear", timesteps=1000, progress=True)
    assert re.search(r"buffer: 1,008 states of 16 bytes, 15\.8 KiB, .* free", capsys.readouterr().err)


def test_free_memory_is_the_least_of_machine_container_and_process(monkeypatch, tmp_path):
    assert 2**20 < free_memory() < 2**50
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 100\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_memory() == 5000 - 4000 + 100
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > 2**20
    for name in ("_machine", "_container", "_process"):
        monkeypatch.setattr(memory, name, lambda: None)
    assert free_memory() is None
    assert check_memory(DistillConfig(timesteps=10**12, buffer_size=10**12), 1, IMAGE, 6).free is None


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB")]
)
def test_bytes_are_said_in_words(n_bytes, text):
    assert size_text(n_bytes) == text
