import pickle
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.student.engines.native_engine import NativeEngine
from policy_distill.student.engines.table import ENGINES, NEEDS, RUNTIMES, AutoEngine, is_available, make_engine
from policy_distill.student.runtime import Student, load_student
from tests.students import KINDS, make_student, make_whole, name_of, one_of, sample_observations

TOLERANCE = 1e-5  # of the range of an action


@pytest.fixture(params=KINDS, ids=name_of)
def kind(request):
    return request.param


def reference(student, obs):
    """The executed actions by the trainable torch student."""
    policy = student.torch()
    with torch.no_grad():
        return student.plan.action_map.execute(policy.spec.family.mode(policy(obs)).numpy())


def runtimes_for(student):
    return [name for name in RUNTIMES if name != "native" or student.plan.is_perceptron]


def test_every_runtime_gives_the_same_actions_singly_and_in_batches(kind):
    made = make_student(kind)
    obs = sample_observations(kind)
    expected = reference(make_whole(kind), obs)
    span = np.ptp(expected, axis=0).max() if made.plan.action_map.kind != "index" else 0
    for runtime in runtimes_for(made):
        student = Student(made.tensors, made.metadata, runtime)
        batch, _ = student.predict(obs, deterministic=True)
        assert batch.dtype == expected.dtype, runtime
        assert np.abs(batch - expected).max() <= TOLERANCE * span, runtime
        for index in range(16):
            one = one_of(obs, index)
            for action in (student.act(one), student.predict(one, deterministic=True)[0]):
                assert np.shape(action) == expected.shape[1:], runtime
                assert action.dtype == expected.dtype, runtime
                assert np.abs(action - expected[index]).max() <= TOLERANCE * span, runtime


def test_batches_larger_than_a_chunk_are_whole(kind):
    student = make_student(kind)
    obs = sample_observations(kind, 3)
    repeat = {k: np.tile(v, (400, *[1] * (v.ndim - 1))) for k, v in obs.items()} if isinstance(obs, dict) else None
    many = repeat if repeat is not None else np.tile(obs, (400, *[1] * (obs.ndim - 1)))
    expected = student.network_outputs(obs)
    assert np.allclose(student.network_outputs(many), np.tile(expected, (400, 1)), atol=1e-5)


def test_batches_may_grow_shrink_and_be_empty():
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    obs = sample_observations(("vector",), 600)
    expected = student.predict(obs, deterministic=True)[0]
    for size in (3, 600, 1, 0, 513, 2):
        assert np.allclose(student.predict(obs[:size], deterministic=True)[0], expected[:size], atol=1e-6)


@pytest.mark.parametrize("runtime", ["numpy", "native"])
def test_extreme_observations_are_clipped_as_the_statistics_say(runtime):
    kind = ("vector", "gaussian", "mlp:16,8", "tanh")
    made = make_student(kind)
    student = Student(made.tensors, made.metadata, runtime)
    rng = np.random.default_rng(0)
    for size in (1e3, 1e8, 1e30):
        obs = (rng.normal(size=(20, 5)) * size).astype(np.float32)
        expected = reference(made, obs)
        acted = np.stack([student.act(one) for one in obs])
        assert np.abs(acted - expected).max() <= TOLERANCE * 3
        assert np.abs(student.predict(obs, deterministic=True)[0] - expected).max() <= TOLERANCE * 3


@pytest.mark.parametrize("runtime", ["numpy", "native"])
def test_an_observation_may_come_as_a_list_a_view_or_another_type(runtime):
    made = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    student = Student(made.tensors, made.metadata, runtime)
    wide = np.arange(10, dtype=np.float32) / 5
    expected = student.act(wide[::2].copy())
    for other in (wide[::2], wide[::2].astype(np.float64), wide[::2].tolist(), np.array([0, 2, 4, 6, 8])[:5] / 5):
        assert np.allclose(student.act(other), expected, atol=1e-6)
    wide.setflags(write=False)
    assert np.allclose(student.act(wide[:5]), student.act(wide[:5].copy()))
    with pytest.raises(ValueError, match=r"shape|numbers|broadcast"):
        student.act(np.zeros(4, np.float32))


def unlike(good):
    """What might be taken for one observation, by broadcasting or by its size."""
    if isinstance(good, dict):
        return [{**good, "kind": np.zeros(2, int)}, {"kind": good["kind"]}, np.zeros(5), None, "x"]
    good = np.asarray(good)
    others = [good[None], np.stack([good] * 3), np.zeros((*good.shape, 1), good.dtype), None, "x", {}, [[1], [1, 2]]]
    if good.ndim:
        others += [good.flat[0], good[:1], good[:-1], np.concatenate([good, good]), good.tolist()[:-1], []]
    return [*others, good.ravel(), good.T, good[0], good[:, :1]] if good.ndim > 1 else others


@pytest.mark.parametrize("runtime", [*ENGINES, "auto"])
@pytest.mark.parametrize(
    "obs_kind", ["vector", "doubles", "matrix", "multi_discrete", "image_first", "dict", "discrete"]
)
def test_what_is_not_one_observation_is_refused_in_a_sentence(obs_kind, runtime):
    made = make_student((obs_kind, "gaussian", "cnn:4" if "image" in obs_kind else "mlp:8", "relu"))
    if runtime == "native" and not made.plan.is_perceptron:
        pytest.skip("not this engine's")
    act = Student(made.tensors, made.metadata, runtime).act
    good = one_of(sample_observations((obs_kind,), 4), 0)
    expected = act(good)
    for other in unlike(good):
        with pytest.raises(ValueError, match="expected one observation of"):
            act(other)
    assert np.array_equal(act(good), expected), "a refusal leaves nothing behind"


@pytest.mark.parametrize("runtime", ["numpy", "native"])
def test_an_action_that_was_returned_does_not_change_later(kind, runtime):
    made = make_student(kind)
    if runtime == "native" and not made.plan.is_perceptron:
        runtime = "auto"
    student = Student(made.tensors, made.metadata, runtime)
    obs = sample_observations(kind, 8)
    first = student.act(one_of(obs, 0))
    kept = np.array(first)
    for index in range(8):
        student.act(one_of(obs, index))
    assert np.array_equal(first, kept)


def in_four_threads(run):
    """Call `run(offset)` in four threads that give way to each other all the time."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run, args=(offset,)) for offset in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("runtime", ["numpy", "native"])
def test_threads_may_share_a_student(runtime):
    made = make_student(("vector", "gaussian", "mlp:64,64", "tanh"))
    student = Student(made.tensors, made.metadata, runtime)
    obs = sample_observations(("vector",), 500)
    expected = [student.act(one) for one in obs]
    batch = student.predict(obs, deterministic=True)[0]
    wrong = []

    def run(offset):
        for step in range(2000):
            index = (step * 7 + offset) % len(obs)
            if not np.array_equal(student.act(obs[index]), expected[index]):
                wrong.append(index)
        if not np.array_equal(student.predict(obs, deterministic=True)[0], batch):
            wrong.append(-1)

    in_four_threads(run)
    assert not wrong


def test_acting_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in KINDS:
            student = make_student(kind)
            obs = sample_observations(kind, 4)
            student.predict(obs, deterministic=True)
            student.act(one_of(obs, 0))


def test_the_extension_is_built_where_there_is_a_compiler():
    # Wherever the tests run, a compiler is there: an extension that is missing here was broken.
    assert is_available("native")


def test_the_portable_kernel_acts_as_the_quick_one(monkeypatch):
    from policy_distill.student.engines import _native

    obs = sample_observations(("vector",), 50)
    for action in ("discrete", "gaussian", "squashed", "multi_discrete"):
        for network, activation in (("mlp:64,40", "tanh"), ("mlp:20,70", "relu"), ("linear", "tanh")):
            plan = make_student(("vector", action, network, activation)).plan
            quick = NativeEngine(plan).make_act(np.zeros(0, np.float32))
            with monkeypatch.context() as patch:
                original = _native.Perceptron
                patch.setattr(_native, "Perceptron", lambda original=original, **k: original(portable=True, **k))
                portable = NativeEngine(plan).make_act(np.zeros(0, np.float32))
            for one in obs:
                assert np.allclose(quick(one), portable(one), atol=1e-5)


def test_the_extension_refuses_arrays_that_do_not_fit():
    from policy_distill.student.engines import _native

    good = {
        "shape": (1,),
        "statistics": None,
        "layers": ((1, 16, 0, bytes(64), bytes(64)),),
        "n_modes": 2,
        "head": 0,
        "squash": 0,
        "low": b"",
        "high": b"",
        "target": None,
        "actions": (0, 1),
        "convert": list,
        "finish": None,
    }
    _native.Perceptron(**good)
    bad = [
        {"shape": (1,) * 9},
        {"shape": ("wide",)},
        {"shape": 1},
        {"layers": ()},
        {"layers": ((1, 16, 0, bytes(60), bytes(64)),)},
        {"layers": ((1, 15, 0, bytes(60), bytes(60)),)},
        {"layers": ((2, 16, 0, bytes(128), bytes(64)),)},
        {"n_modes": 17},
        {"actions": (0,)},
        {"statistics": (bytes(8), bytes(4), 1.0)},
        {"head": 1, "low": bytes(8), "high": bytes(8), "target": np.zeros(3, np.float32)},
        {"head": 1, "low": bytes(4), "high": bytes(8), "target": np.zeros(2, np.float32)},
    ]
    for change in bad:
        with pytest.raises((ValueError, TypeError)):
            _native.Perceptron(**{**good, **change})


def test_a_runtime_that_is_not_there_is_named(monkeypatch, tmp_path):
    path = make_student(KINDS[0]).save(tmp_path / "student.safetensors")
    monkeypatch.setattr("policy_distill.student.engines.table.is_available", lambda name: name == "numpy")
    for runtime in ("native", "torch", "onnx"):
        with pytest.raises(RequestError, match="numpy"):
            load_student(path, runtime=runtime)
    assert load_student(path).act(np.zeros(5)) in range(4)


def test_the_extension_cannot_run_convolutions():
    plan = make_student(("image_first", "discrete", "cnn:4", "relu")).plan
    with pytest.raises(RequestError, match="use auto"):
        make_engine("native", plan)
    assert AutoEngine(plan).make_act(np.zeros(0, np.float32))(np.zeros((3, 12, 10), np.uint8)) in range(4)


def test_every_engine_says_what_it_needs():
    assert set(NEEDS) == set(ENGINES) == set(RUNTIMES) - {"auto"}


@pytest.mark.parametrize("runtime", ["auto", "numpy", "native"])
def test_acting_needs_no_other_library(tmp_path, runtime):
    path = make_student(KINDS[0]).save(tmp_path / "student.safetensors")
    code = (
        "import sys, numpy, policy_distill; "
        f"student = policy_distill.load_student({str(path)!r}, runtime={runtime!r}); student.act(numpy.zeros(5)); "
        "bad = {'torch', 'stable_baselines3', 'gymnasium', 'onnx', 'onnxruntime', 'scipy'} & set(sys.modules); "
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_student_is_pickled_without_its_buffers():
    student = make_student(("vector", "gaussian", "mlp:16,8", "tanh"))
    obs = sample_observations(("vector",), 4)
    expected = student.predict(obs, deterministic=True)[0]
    student.seed(5)
    copy = pickle.loads(pickle.dumps(student))
    assert np.array_equal(copy.predict(obs, deterministic=True)[0], expected)
    assert np.array_equal(copy.predict(obs)[0], student.predict(obs)[0])


@pytest.mark.parametrize("action", ["multi_binary", "multi_discrete", "deterministic_free"])
def test_threads_may_share_a_student_whose_action_is_finished_in_python(action):
    made = make_student(("vector", action, "mlp:16,8", "tanh"))
    student = Student(made.tensors, made.metadata, "native")
    obs = sample_observations(("vector",), 100)
    expected = [np.array(student.act(one)) for one in obs]
    wrong = []

    def run(offset):
        for step in range(10_000):
            index = (step * 7 + offset) % len(obs)
            if not np.array_equal(student.act(obs[index]), expected[index]):
                wrong.append(index)

    in_four_threads(run)
    assert not wrong


@pytest.mark.parametrize("action", ["gaussian", "squashed", "multi_discrete", "deterministic_free"])
def test_an_observation_that_is_no_number_acts_the_same_in_every_runtime(action):
    made = make_student(("vector", action, "mlp:16,8", "tanh"))
    obs = sample_observations(("vector",), 2)
    obs[0, 0] = np.nan
    expected = reference(made, obs)
    for runtime in runtimes_for(made):
        student = Student(made.tensors, made.metadata, runtime)
        assert np.allclose(student.predict(obs, deterministic=True)[0], expected, atol=1e-5, equal_nan=True), runtime
        assert np.allclose(student.act(obs[0]), expected[0], atol=1e-5, equal_nan=True), runtime


def test_masks_rule_out_actions_of_single_observations_and_batches():
    student = make_student(("vector", "discrete", "mlp:16,8", "tanh"))
    obs = sample_observations(("vector",), 8)
    for allowed in range(4):
        mask = np.arange(4) == allowed
        for deterministic in (True, False):
            for masks in (mask, mask[None], mask.tolist()):
                assert student.predict(obs[0], deterministic=deterministic, action_masks=masks)[0] == allowed
            for masks in (mask, np.tile(mask, (8, 1))):
                assert (student.predict(obs, deterministic=deterministic, action_masks=masks)[0] == allowed).all()
    with pytest.raises(ValueError, match="shape"):
        student.predict(obs, action_masks=np.ones((7, 4), bool))
    with pytest.raises(ValueError, match="continuous"):
        make_student(KINDS[4]).predict(obs, action_masks=np.ones((8, 2), bool))


@pytest.mark.parametrize("obs_kind", ["vector", "doubles", "unnormalized"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_batches_of_any_type_and_layout_act_as_observations_one_by_one(obs_kind, activation):
    kind = (obs_kind, "gaussian", "mlp:64,64", activation)
    student = Student(make_student(kind).tensors, make_student(kind).metadata, "numpy")
    obs = sample_observations(kind, 600)
    obs[::7] *= 1e6
    huge = np.where(obs > 3, 1e300, obs.astype(np.float64)) if obs_kind != "unnormalized" else obs.astype(np.float64)
    for batch in (obs, np.asfortranarray(obs), obs[::-2], obs.astype(np.int64), huge, obs.tolist(), obs.astype(">f4")):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            actions = student.predict(batch, deterministic=True)[0]
            expected = np.stack([student.act(one) for one in np.asarray(batch)])
        assert np.allclose(actions, expected, atol=1e-4)


def test_an_extension_that_cannot_be_loaded_is_as_good_as_none(monkeypatch, tmp_path):
    path = make_student(KINDS[0]).save(tmp_path / "student.safetensors")

    def broken(name):
        raise ImportError("built for another processor")

    monkeypatch.setattr("policy_distill.student.engines.native_engine.import_module", broken)
    assert load_student(path).act(np.zeros(5)) in range(4)
    with pytest.raises(RequestError, match="use the runtime numpy"):
        load_student(path, runtime="native")


@pytest.mark.parametrize("runtime", ["numpy", "torch", "onnx", "auto"])
@pytest.mark.parametrize(("obs_kind", "wrong"), [("discrete", 1), ("discrete", 6), ("multi_discrete", [2, 0])])
def test_a_choice_that_the_space_does_not_have_is_refused(runtime, obs_kind, wrong):
    made = make_student((obs_kind, "discrete", "mlp:8", "relu"))
    student = Student(made.tensors, made.metadata, runtime)
    right = sample_observations((obs_kind,), 3)
    student.predict(right, deterministic=True)
    for obs in (np.array(wrong), np.stack([right[0], np.array(wrong)])):
        for deterministic in (True, False):
            with pytest.raises(ValueError, match="among the choices"):
                student.predict(obs, deterministic=deterministic)
