"""A monitor in the native engine: the novelty that NumPy computes, and nothing read that is not there."""

from dataclasses import replace

import numpy as np
import pytest

from policy_distill.errors import RequestError
from policy_distill.student.engines import _native
from policy_distill.student.onboard.monitor import LARGEST, Monitor
from policy_distill.student.onboard.wiring import Wiring
from policy_distill.student.record import StudentRecord
from policy_distill.student.runtime import Student
from tests.students import make_student

IN_C = [
    ("vector", "discrete", "mlp:16,8", "tanh"),
    ("vector", "offset", "mlp:16,8", "relu"),
    ("vector", "gaussian", "linear", "tanh"),
    ("doubles", "gaussian", "mlp:64,64", "relu"),
    ("far", "squashed", "mlp:8", "tanh"),
    ("unnormalized", "squashed_unit", "linear", "tanh"),
    ("matrix", "matrix", "mlp:8", "tanh"),
    ("whole_numbers", "deterministic", "mlp:8", "relu"),
    ("multi_binary", "discrete", "mlp:8", "tanh"),
    ("part_of_vector", "squashed", "mlp:8", "tanh"),
    ("vector", "gaussian", "mlp:16,8", "tanh", "slim"),
    ("vector", "discrete", "gru:16", "tanh"),
    ("unnormalized", "gaussian", "gru:5+mlp:7", "relu"),
    ("doubles", "offset", "history:2a+mlp:4", "relu"),
    ("vector", "gaussian", "history:3a+mlp:8", "tanh"),
]
IN_NUMPY = [
    ("vector", "multi_discrete", "mlp:8", "relu"),
    ("vector", "deterministic_free", "mlp:8", "tanh"),
    ("vector", "multi_binary", "history:3a+mlp:8", "tanh"),
]


def with_random_monitor(kind, seed=0, place=5, step=9):
    """Return a student with a monitor of random directions, and how many numbers it sees."""
    student, rng = make_student(kind), np.random.default_rng(seed)
    n = sum(part.raw_size for part in student.plan.featurizer.parts)
    n_taken = student.plan.taken.n
    center = rng.normal(size=n) + (1e6 if kind[0] == "far" else 0.0)
    rows = [rng.normal(size=shape).astype(np.float32) for shape in ((place, n), (step, 2 * n + n_taken))]
    mean = rng.normal(size=n_taken).astype(np.float32)
    monitor = Monitor(center, center - 1, center + 1, mean, *rows, false_alarms=0.01, n_episodes=200, reached=0.005)
    return student, monitor


def acting(student, monitor, runtime, **said):
    return Student.of(StudentRecord(student.tensors, replace(student.description, monitor=monitor, **said)), runtime)


def episode(student, monitor, n_steps=40, seed=1):
    """Return raw observations of the student's own space around what a monitor has seen."""
    part = student.plan.featurizer.parts[0]
    found = monitor.center + np.cumsum(np.random.default_rng(seed).normal(size=(n_steps, len(monitor.center))), axis=0)
    if part.dtype.kind not in "f":
        found = np.clip(np.round(found), 0, 1)
    return found.reshape(n_steps, *part.shape).astype(part.dtype)


def in_both(kind, **sizes):
    student, monitor = with_random_monitor(kind, **sizes)
    return [acting(student, monitor, runtime) for runtime in ("native", "numpy")], episode(student, monitor)


def is_native(student):
    return type(getattr(student.act, "__self__", None)) is _native.Perceptron


@pytest.mark.parametrize("kind", IN_C + IN_NUMPY, ids="-".join)
def test_novelty_is_that_of_numpy(kind):
    (native, numpy), obs = in_both(kind)
    if not native.view.components:
        assert is_native(native) is (kind in IN_C)
    for one in obs:
        made = numpy.act(one, monitor=True)
        found = native.act(one, monitor=True)
        np.testing.assert_allclose(found[0], made[0], rtol=1e-4, atol=1e-4)
        assert type(found[1]) is float and found[1] == pytest.approx(made[1], rel=1e-6)
        # Engines round an action otherwise, which the next step would see: each goes on from the same one.
        states = [student._watcher.watch.state for student in (native, numpy)]
        np.testing.assert_allclose(*states, rtol=1e-4, atol=1e-4)
        states[0][:] = states[1]


@pytest.mark.parametrize(("place", "step"), [(0, 1), (1, 0), (8, 16), (17, 33)])
def test_any_number_of_directions(place, step):
    (native, numpy), obs = in_both(IN_C[0], place=place, step=step)
    for one in obs:
        assert native.act(one, monitor=True)[1] == pytest.approx(numpy.act(one, monitor=True)[1], rel=1e-6)
    assert native.act(obs[0], monitor=True)[1] > 0.0


def test_the_portable_kernel_finds_the_same(monkeypatch):
    student, monitor = with_random_monitor(IN_C[2])
    quick = acting(student, monitor, "native")
    with monkeypatch.context() as patch:
        original = _native.Perceptron
        patch.setattr(_native, "Perceptron", lambda **k: original(portable=True, **k))
        portable = acting(student, monitor, "native")
        assert portable.act != quick.act
    for one in episode(student, monitor):
        assert quick.act(one, monitor=True)[1] == pytest.approx(portable.act(one, monitor=True)[1], rel=1e-5)


def test_an_observation_may_come_in_any_form():
    student, monitor = with_random_monitor(IN_C[0])
    wiring = Wiring(observations=("a", "b", "c", "d", "e"))
    native, numpy = (acting(student, monitor, runtime, wiring=wiring) for runtime in ("native", "numpy"))
    one = episode(student, monitor)[0]
    named = dict(zip(wiring.observations, one.tolist(), strict=True))
    strided = np.repeat(one, 2)[::2]
    for form in (one, one.astype(np.float64), one.tolist(), named, strided, np.round(one).astype(np.int32)):
        native.reset(), numpy.reset()
        (action, novelty), expected = native.act(form, monitor=True), numpy.act(form, True)
        assert action == expected[0] and novelty == pytest.approx(expected[1], rel=1e-6)
    assert native.unusual(named) == numpy.unusual(one)
    broken = np.array([np.nan, 1e9, 0, 0, 0])
    assert native.act(native.clamped(broken), True)[1] == pytest.approx(numpy.act(numpy.clamped(broken), True)[1])
    with pytest.raises(ValueError, match="expected one observation"):
        native.act(np.stack([one, one]), monitor=True)
    with pytest.raises(ValueError, match="unknown f"):
        native.act({**named, "f": 1.0}, monitor=True)


def test_an_episode_begins_with_reset_and_where_nobody_watched():
    (native, _), obs = in_both(IN_C[2])
    alone = [native.act(one, monitor=True)[1] for one in obs[:3] if native.reset() is None]
    native.reset()
    along = [native.act(one, monitor=True)[1] for one in obs[:3]]
    assert along[0] == alone[0] and along[1] > alone[1] and along[2] > alone[2]
    assert type(native.act(obs[1])) is np.ndarray
    assert native.act(obs[2], monitor=True)[1] == alone[2]
    np.testing.assert_array_equal(native.act(obs[1]), native.act(obs[1], monitor=True)[0])


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_no_number_is_novel_and_so_is_the_step_after_it(odd):
    students, obs = in_both(IN_C[2])
    for student in students:
        broken = obs[0].copy()
        broken[2] = odd
        assert student.act(broken, monitor=True)[1] == LARGEST
        assert student.act(obs[1], monitor=True)[1] == LARGEST
        assert student.act(obs[2], monitor=True)[1] < 1e6


def test_it_is_called_as_any_act():
    (native, numpy), obs = in_both(IN_C[0])
    for student in (native, numpy):
        action, novelty = student.act(monitor=True, obs=obs[0])
        assert action == student.act(obs=obs[0]) == student.act(obs[0], False) == student.act(obs[0], monitor=0)
        assert novelty == student.act(obs[0], np.True_)[1]
        for arguments, named in [((), {}), ((obs[0], True, 1), {}), ((obs[0], True), {"monitor": True})]:
            with pytest.raises(TypeError):
                student.act(*arguments, **named)
        with pytest.raises(TypeError):
            student.act(obs[0], watch=True)
        with pytest.raises(TypeError):
            student.act(monitor=True)


@pytest.mark.parametrize("runtime", ["native", "numpy"])
@pytest.mark.parametrize("name", ["center", "low", "high", "action_center", "place", "step"])
@pytest.mark.parametrize("change", [lambda x: x[..., :-1], lambda x: np.concatenate([x, x], axis=-1), np.ravel])
def test_a_monitor_that_does_not_fit_is_refused_before_it_is_used(runtime, name, change):
    student, monitor = with_random_monitor(IN_C[2])
    changed = change(getattr(monitor, name))
    if changed.shape != getattr(monitor, name).shape:
        with pytest.raises(RequestError, match="a monitor of another student; make one with policy-distill equip"):
            _ = acting(student, replace(monitor, **{name: changed}), runtime).act


def test_the_extension_refuses_a_monitor_that_does_not_fit():
    good = {
        "shape": (1,),
        "statistics": None,
        "layers": ((1, 16, 0, bytes(64), bytes(64)),),
        "n_modes": 2,
        "head": 0,
        "squash": 0,
        "low": bytes(8),
        "high": bytes(8),
        "target": None,
        "actions": (0, 1),
        "convert": np.asarray,
        "finish": None,
    }
    # One number is seen and two are of an action; blocks of directions are 64 and 256 bytes.
    watch = (np.zeros(5), bytes(8), bytes(64), bytes(256), bytes(16), bytes(16), 3e38)
    assert _native.Perceptron(**good, watch=watch).watched(np.zeros(1), True) == (0, 0.0)
    for place, wrong in [
        *[(0, np.zeros(n)) for n in (0, 4, 6)],
        (0, bytes(40)),
        (0, np.zeros(10)[::2]),
        *[(1, bytes(n)) for n in (0, 7, 16)],
        *[(2, bytes(n)) for n in (8, 63, 65)],
        *[(3, bytes(n)) for n in (64, 255, 320)],
        *[(k, bytes(n)) for k in (4, 5) for n in (8, 24)],
        (6, "large"),
    ]:
        with pytest.raises((ValueError, TypeError, BufferError)):
            _native.Perceptron(**good, watch=(*watch[:place], wrong, *watch[place + 1 :]))
    with pytest.raises(ValueError, match="expected a monitor, found none"):
        _native.Perceptron(**good).watched(np.zeros(1), True)
    with pytest.raises(ValueError, match="made elsewhere"):
        _native.Perceptron(**{**good, "head": 3, "target": np.zeros(2, np.float32)}, watch=watch)
