import base64
import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from stable_baselines3 import PPO

from policy_distill.errors import RequestError
from policy_distill.teachers.files.safe_load import safe_unpickle
from policy_distill.teachers.files.stand_ins import Inert, reference_of
from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor


class Payload:
    """Writes a file when it is unpickled by anything that runs code."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("agent") / "agent.zip"
    PPO("MlpPolicy", Corridor(), n_steps=8, batch_size=8, device="cpu", policy_kwargs={"net_arch": [4]}).save(path)
    return path


def with_entry(saved, target, key, value):
    """Copy an agent's zip with one entry of its data replaced by a pickle."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "data":
                data = json.loads(content)
                data[key] = {":type:": "x", ":serialized:": base64.b64encode(pickle.dumps(value)).decode()}
                content = json.dumps(data).encode()
            copy.writestr(name, content)
    return target


@pytest.mark.parametrize("key", ["policy_kwargs", "lr_schedule", "observation_space", "something_else"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_malicious_object_is_refused_by_name_and_its_payload_does_not_run(
    saved, tmp_path, key, protocol, monkeypatch
):
    witness = tmp_path / "payload-ran"
    monkeypatch.setattr(pickle, "DEFAULT_PROTOCOL", protocol)
    evil = with_entry(saved, tmp_path / "evil.zip", key, Payload(os.system, f"touch {witness}"))
    with pytest.raises(RequestError, match=r"posix\.system.*nothing was run.*trust=True") as error:
        load_teacher(evil)
    assert key in str(error.value)
    assert not witness.exists()


def test_the_payload_would_run_under_plain_unpickling(tmp_path):
    witness = tmp_path / "payload-ran"
    pickle.loads(pickle.dumps(Payload(os.system, f"touch {witness}")))
    assert witness.exists()


def test_a_malicious_vecnormalize_is_refused_by_name(saved, tmp_path):
    witness = tmp_path / "payload-ran"
    statistics = tmp_path / "vecnormalize.pkl"
    statistics.write_bytes(pickle.dumps(Payload(os.system, f"touch {witness}")))
    with pytest.raises(RequestError, match=r"posix\.system"):
        load_teacher(saved, vecnormalize=statistics)
    assert not witness.exists()


@pytest.mark.parametrize(
    "call",
    [eval, exec, getattr, __import__, open, subprocess.Popen, os.popen, np.load, np.fromfile, pickle.loads],
    ids=lambda call: f"{call.__module__}.{call.__name__}",
)
def test_no_callable_that_can_do_harm_is_on_the_list(call):
    with pytest.raises(RequestError, match="nothing was run"):
        safe_unpickle(pickle.dumps(Payload(call, "1")), "the file")


def test_a_dotted_name_cannot_reach_through_an_allowed_module():
    # Protocol 4 looks up "save_util.os.system" attribute by attribute.
    data = b"\x80\x04\x8c\x1cstable_baselines3.common.save_util\x8c\x09os.system\x93\x8c\x04true\x85R."
    data = data.replace(b"\x1cstable", bytes([len("stable_baselines3.common.save_util")]) + b"stable")
    with pytest.raises(RequestError, match=r"save_util\.os\.system"):
        safe_unpickle(data, "the file")


def test_classes_of_the_libraries_become_stand_ins_that_cannot_change_the_real_ones():
    # BUILD with a slot state on a class would set attributes of the real class.
    name = b"stable_baselines3.common.policies\nActorCriticPolicy\n"
    found = safe_unpickle(b"c" + name + b".", "the file")
    assert reference_of(found) == "stable_baselines3.common.policies.ActorCriticPolicy"
    with pytest.raises(RequestError, match="damaged"):
        safe_unpickle(b"c" + name + b"(N}S'forward'\nI1\nstb.", "the file")
    from stable_baselines3.common.policies import ActorCriticPolicy

    assert callable(ActorCriticPolicy.forward)


def test_calls_of_stand_ins_return_stand_ins():
    data = b"ccloudpickle.cloudpickle\nsubimport\n(S'os'\ntR."
    assert isinstance(safe_unpickle(data, "the file"), Inert)


def test_plain_data_and_arrays_are_read_as_they_are():
    values = {"a": [1, 2.5, None, True], "b": np.arange(6.0).reshape(2, 3), "c": np.float32(2.5), "d": {1, 2}}
    for protocol in range(6):
        found = safe_unpickle(pickle.dumps(values, protocol=protocol), "the file")
        assert np.array_equal(found.pop("b"), values["b"])
        assert found == {key: value for key, value in values.items() if key != "b"}


@pytest.mark.parametrize("damage", [b"", b"\x80", b"garbage", pickle.dumps([1, 2, 3])[:-2]])
def test_a_damaged_pickle_is_an_error_in_one_line(damage):
    with pytest.raises(RequestError, match="damaged"):
        safe_unpickle(damage, "the file")


def test_loading_leaves_no_gym_behind(zoo):
    code = (
        "import sys; from policy_distill import load_teacher; "
        f"load_teacher({str(zoo / 'ppo-LunarLander-v2')!r}); load_teacher({str(zoo / 'a2c-Acrobot-v1')!r}); "
        "sys.exit(any(name.split('.')[0] == 'gym' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tensors_pickled_among_an_agents_data_are_read_past():
    # ARS keeps its weights there; torch writes a tensor as bytes that its own loader would unpickle.
    torch = pytest.importorskip("torch")
    assert isinstance(safe_unpickle(pickle.dumps(torch.zeros(3)), "the file"), Inert)
