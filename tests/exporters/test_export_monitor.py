"""A monitor in C: the same novelty as in Python, and what is done where a step is novel."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest

from policy_distill.exporters.c import load_compiled
from policy_distill.exporters.export import export
from policy_distill.run.monitoring.fit import fit_monitor
from policy_distill.run.monitoring.play import Steps
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from tests.students import make_student

GO_ON, CLAMP, HOLD, FALL_BACK = range(4)
OTHER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_float, ctypes.c_void_p)
KINDS = [
    ("vector", "offset", "mlp:16,8", "tanh"),
    ("vector", "multi_discrete", "mlp:8", "relu"),
    ("vector", "multi_binary", "linear", "tanh"),
    ("vector", "gaussian", "mlp:16,8", "tanh"),
    ("far", "squashed", "mlp:8", "tanh"),
    ("matrix", "deterministic", "mlp:8", "tanh"),
    ("multi_binary", "discrete", "mlp:8", "tanh"),
    ("vector", "gaussian", "gru:4", "tanh"),
    ("vector", "gaussian", "history:2a+mlp:4", "tanh"),
    ("vector", "gaussian", "tree:4", "tanh"),
    ("vector", "gaussian", "mlp:16,8", "tanh", "slim"),
]


def watched(kind, seed=0):
    """Return a student with a monitor of made-up episodes, and raw observations of such an episode."""
    student, rng = make_student(kind), np.random.default_rng(seed)
    n_seen = sum(part.raw_size for part in student.plan.featurizer.parts)
    shift = 1e6 if kind[0] == "far" else 0.0

    def episode():
        obs = shift + np.cumsum(rng.normal(size=(30, n_seen)), axis=0) / 5
        obs = np.round(np.clip(obs, 0, 1)) if kind[0] == "multi_binary" else obs
        actions = student.predict(_shaped(student, obs), deterministic=True)[0]
        return Steps(obs, student.plan.taken(actions))

    monitor = fit_monitor([episode() for _ in range(160)], n_params=200)
    said = replace(student.description, monitor=monitor)
    return Student.of(StudentRecord(student.tensors, said), "numpy"), episode().obs


def _shaped(student, obs):
    part = student.plan.featurizer.parts[0]
    return obs.reshape(len(obs), *part.shape).astype(part.dtype)


class InC:
    """The exported code, called one step after another."""

    def __init__(self, student, path):
        export(student, path, "c", n_states=64)
        self.library = load_compiled(path)
        self.library.policy_novelty.restype = self.library.policy_act_watched.restype = ctypes.c_float
        header = (path / "policy.h").read_text()
        self.obs_type = np.float64 if "typedef double policy_obs" in header else np.float32
        discrete = student.plan.action_map.kind == "index"
        self.action = np.zeros(int(np.prod(student.plan.action_map.shape)), np.int32 if discrete else np.float32)

    def novelty(self, obs):
        return self.library.policy_novelty(self._address(obs))

    def act(self, obs, hook=GO_ON, other=None):
        return self.library.policy_act_watched(
            self._address(obs), hook, other, ctypes.c_void_p(self.action.ctypes.data)
        )

    def _address(self, obs):
        self._held = np.ascontiguousarray(obs, self.obs_type).ravel()
        return ctypes.c_void_p(self._held.ctypes.data)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_novelty_in_c_is_that_of_python(kind, tmp_path):
    student, episode = watched(kind)
    code = InC(student, tmp_path / "c")
    code.library.policy_reset()
    differing = 0
    for obs in _shaped(student, episode):
        action, novelty = student.act(obs, monitor=True)
        assert code.novelty(obs) == pytest.approx(student.novelty(obs), rel=5e-3, abs=1e-4)
        in_c = code.act(obs)
        equal = np.allclose(code.action, np.ravel(action), rtol=1e-4, atol=1e-4)
        # Where a choice was close the steps differ that follow from it.
        differing += not equal or in_c != pytest.approx(novelty, rel=5e-3, abs=1e-4)
    assert differing <= 1
    code.library.policy_reset()
    student.reset()
    assert code.act(episode[0]) == pytest.approx(code.novelty(episode[0]))
    assert student.act(_shaped(student, episode)[0], monitor=True)[1] == pytest.approx(
        code.novelty(episode[0]), rel=5e-3
    )


def test_what_is_done_where_a_step_is_novel(tmp_path):
    student, episode = watched(KINDS[3])
    code = InC(student, tmp_path / "c")
    usual, odd = episode[0].astype(np.float32), np.array([0.1, 1e5, np.nan, 0.0, -1e5], np.float32)
    assert code.novelty(odd) > 1.0 >= code.novelty(usual)
    code.act(odd)
    np.testing.assert_allclose(code.action, student.act(odd), rtol=1e-5, equal_nan=True)
    code.act(odd, CLAMP)
    np.testing.assert_allclose(code.action, student.act(student.clamped(odd)), rtol=1e-4, atol=1e-5)
    code.action[:] = 0.25, 0.75
    assert code.act(odd, HOLD) > 1.0
    assert code.action.tolist() == [0.25, 0.75]
    assert code.act(odd, FALL_BACK, None) > 1.0
    assert code.action.tolist() == [0.25, 0.75]
    told = []

    @OTHER
    def other(obs, novelty, action):
        told.append(novelty)
        ctypes.cast(action, ctypes.POINTER(ctypes.c_float))[0] = -1.5

    code.act(odd, FALL_BACK, other)
    assert code.action.tolist() == [-1.5, 0.75] and told[0] > 1.0
    code.library.policy_reset()
    code.act(usual, FALL_BACK, other)
    np.testing.assert_allclose(code.action, student.act(usual), rtol=1e-5)
    assert len(told) == 1


def test_without_a_monitor_the_code_is_as_it_was(tmp_path):
    export(make_student(KINDS[3]), tmp_path / "c", "c", n_states=64)
    for name in ("policy.h", "policy.c"):
        assert "novelty" not in (tmp_path / "c" / name).read_text()
