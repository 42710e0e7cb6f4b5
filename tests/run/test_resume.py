import json
import logging
import os
import shutil
import signal
import time
from collections import deque

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from policy_distill.commands.options.policies import find_env
from policy_distill.config import make_config
from policy_distill.environments.open import open_environments
from policy_distill.environments.wrappers import FrameStack
from policy_distill.errors import RequestError, RunFault
from policy_distill.losses.kl import forward_kl
from policy_distill.run.checkpoints.checkpoint import load_checkpoint
from policy_distill.run.checkpoints.files import newest_first, set_aside
from policy_distill.run.checkpoints.state import SessionState
from policy_distill.run.distill import distill
from policy_distill.run.judging.selection import Selection
from policy_distill.run.session import Session
from policy_distill.seeds import SELECTION
from policy_distill.student.file import read_sealed, write_sealed
from policy_distill.student.runtime import load_student
from policy_distill.system.interrupts import Interrupted, stop_if_requested
from policy_distill.teachers.load import load_teacher
from policy_distill.training import trainer as training
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.kill import contents

QUICK = {
    "eval_seed": 0,
    **{"timesteps": 1024, "n_envs": 4, "n_steps": 32, "n_epochs": 4, "batch_size": 64, "checkpoint_every": 128},
    **{"eval_episodes": 4, "select_episodes": 2},
}


class Stop(Exception):
    """Stands for a process that dies."""


class Dies:
    """A tracker that dies at a step, before the checkpoint of that step is written."""

    def __init__(self, step):
        self.step = step

    def log(self, metrics, step):
        if step >= self.step:
            raise Stop

    def summary(self, values): ...
    def artifact(self, path, kind, metadata): ...
    def close(self): ...


def die_and_resume(folder, make_teacher, make_env, student="mlp:8", *, at=(640,), **settings):
    """Run once to the end and once with deaths; return both run folders' contents."""
    settings = {**QUICK, **settings}
    distill(make_teacher(), make_env(), student, out=folder / "whole", **settings)
    for number, step in enumerate(at):
        with pytest.raises(Stop):
            distill(
                make_teacher(), make_env(), student,
                out=folder / "died", tracker=Dies(step), resume=number > 0, **settings,
            )  # fmt: skip
    distill(make_teacher(), make_env(), student, out=folder / "died", resume=True, **settings)
    return contents(folder / "whole"), contents(folder / "died")


class Memory:
    """A recurrent teacher: it prefers what it has seen more of, and forgets at the start of an episode."""

    def __init__(self):
        self.plain = cartpole_teacher()

    def __getattr__(self, name):
        return getattr(self.__dict__["plain"], name)

    def label(self, obs, episode_starts, state=None, action_masks=None):
        seen = torch.zeros(episode_starts.shape[1]) if state is None else state[0]["seen"]
        rows = []
        for step, starts in zip(torch.from_numpy(obs), episode_starts, strict=True):
            seen = torch.where(torch.from_numpy(starts), 0.0, seen) * 0.9 + step[:, 2]
            rows.append(torch.stack([-5.0 * seen, 5.0 * seen], dim=1))
        return torch.stack(rows), ({"seen": seen}, np.arange(2), None)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        params, state = self.label(np.asarray(observation)[None], np.asarray(episode_start)[None], state)
        return params[0].argmax(dim=1).numpy(), state


@pytest.mark.parametrize(
    ("make_teacher", "env", "settings"),
    [
        (pendulum_teacher, "Pendulum-v1", {}),
        (cartpole_teacher, "CartPole-v1", {"buffer": "latest", "actor": "mixed"}),
        (cartpole_teacher, "CartPole-v1", {"buffer_size": 300, "actor": "teacher"}),
        (Memory, "CartPole-v1", {"actor": "mixed"}),
        (cartpole_teacher, "CartPole-v1", {"loss": "nll_sampled"}),
        (cartpole_teacher, "CartPole-v1", {"student": "gru:4+mlp:4", "observe": "0,2"}),
        (pendulum_teacher, "Pendulum-v1", {"student": "gru:4", "buffer": "latest"}),
        (pendulum_teacher, "Pendulum-v1", {"student": "history:3+mlp:8", "buffer_size": 300}),
        (pendulum_teacher, "Pendulum-v1", {"student": "history:3a+mlp:8", "buffer_size": 300}),
        (Memory, "CartPole-v1", {"student": "gru:4", "actor": "mixed"}),
    ],
)
def test_a_run_that_died_twice_equals_one_that_did_not(tmp_path, make_teacher, env, settings, caplog):
    with caplog.at_level(logging.WARNING, "policy_distill"):
        whole, died = die_and_resume(tmp_path, make_teacher, lambda: env, at=(384, 768), **settings)
    assert whole == died
    steps = [row["time/env_steps"] for row in died["metrics"]]
    assert steps == [*range(128, 1025, 128), 1024]
    assert "could not be brought back" not in caplog.text


@pytest.mark.parametrize("student", ["tree:8", "oblique_tree:6"])
@pytest.mark.parametrize(
    ("make_teacher", "env"), [(cartpole_teacher, "CartPole-v1"), (pendulum_teacher, "Pendulum-v1")]
)
def test_a_tree_that_died_while_it_grew_equals_one_that_did_not(tmp_path, student, make_teacher, env):
    whole, died = die_and_resume(tmp_path, make_teacher, lambda: env, student, at=(384, 768))
    assert whole == died
    assert whole["metrics"][-2]["model/leaves"] > 1


class Moving(gymnasium.Env):
    """A bright column that the agent moves: an image of 36 x 36, episodes of 11 steps."""

    observation_space = gymnasium.spaces.Box(0, 255, (36, 36, 1), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.age = int(self.np_random.integers(36)), 0
        return self.image(), {}

    def step(self, action):
        self.place, self.age = (self.place + 2 * int(action) - 1) % 36, self.age + 1
        return self.image(), float(self.place < 18), False, self.age == 11, {}

    def image(self):
        image = np.zeros((36, 36, 1), np.uint8)
        image[:, self.place] = 255
        return image


@pytest.mark.parametrize("settings", [{}, {"buffer_size": 300}, {"buffer": "latest"}])
def test_stacked_frames_resume_bit_for_bit(tmp_path, settings):
    def make_env():
        return lambda: FrameStack(Moving(), 4)

    model = PPO("CnnPolicy", make_env()(), n_steps=8, batch_size=8, seed=0, policy_kwargs={"net_arch": [4]})
    settings = {"student": "cnn:4", "n_epochs": 1, "at": (384, 768), **settings}
    whole, died = die_and_resume(tmp_path, lambda: load_teacher(model), make_env, **settings)
    assert whole == died
    (checkpoint, *_) = newest_first(tmp_path / "died" / "checkpoint")
    tensors, _ = read_sealed(checkpoint)
    # 36 columns to be seen and a blank, each kept once for all states of one environment that share it.
    n_states, n_frames = len(tensors["buffer.slots"]), len(tensors["buffer.frames"])
    assert n_frames < 1.3 * n_states


def test_a_student_trained_by_autograd_resumes_bit_for_bit_too(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "is_written_out", lambda student: False)
    whole, died = die_and_resume(tmp_path, pendulum_teacher, lambda: "Pendulum-v1")
    assert whole == died


@pytest.mark.parametrize(
    "make_env",
    [lambda: DummyVecEnv([lambda: gymnasium.make("CartPole-v1")] * 4), lambda: gymnasium.make("CartPole-v1")],
)
def test_environments_of_the_callers_own_in_this_process_are_brought_back(tmp_path, make_env):
    whole, died = die_and_resume(tmp_path, cartpole_teacher, make_env, eval_episodes=0)
    assert whole == died


class Moody(Corridor):
    """Remembers something that no seed decides."""

    def __init__(self):
        super().__init__(length=50)
        self.mood = int.from_bytes(os.urandom(4), "little") / 2**32

    def _obs(self):
        return np.array([self.t / self.length, getattr(self, "mood", 0.0)], dtype=np.float32)


class Fickle(Corridor):
    """Ends after a number of steps that no seed decides."""

    made = 0

    def __init__(self):
        Fickle.made += 1
        super().__init__(length=100 if Fickle.made <= 4 else 5)


@pytest.mark.parametrize(
    ("env", "why"),
    [
        (Moody, "led to another observation"),
        (Fickle, "ended at step 5, and did not before"),
        (SubprocVecEnv, "starts its episodes by itself"),
    ],
)
def test_what_cannot_be_brought_back_is_said_and_starts_a_new_episode(tmp_path, env, why, caplog):
    Fickle.made = 0
    make = env if env is not SubprocVecEnv else SubprocVecEnv([Corridor] * 4, start_method="fork")
    settings = {**QUICK, "eval_episodes": 0}
    with pytest.raises(Stop), caplog.at_level(logging.WARNING, "policy_distill"):
        distill(corridor_teacher(), make, "linear", out=tmp_path / "run", tracker=Dies(640), **settings)
    # What is known beforehand is said with the first checkpoint, once.
    said = "in a run that is resumed from this checkpoint 4 of 4 environments start a new episode"
    assert caplog.text.count(said) == (1 if env is SubprocVecEnv else 0)
    with caplog.at_level(logging.WARNING, "policy_distill"):
        result = distill(corridor_teacher(), make, "linear", out=tmp_path / "run", resume=True, **settings)
    assert "4 of 4 environments could not be brought back" in caplog.text
    assert why in caplog.text
    assert result.evaluation["env_steps"] == 1024
    if env is SubprocVecEnv:
        make.close()


class Private(Memory):
    """A recurrent teacher whose state is of a kind of its own."""

    def label(self, obs, episode_starts, state=None, action_masks=None):
        params, inner = super().label(obs, episode_starts, None if state is None else state.pop(), action_masks)
        return params, deque([inner])

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        params, state = self.label(np.asarray(observation)[None], np.asarray(episode_start)[None], state)
        return params[0].argmax(dim=1).numpy(), state


def test_a_state_that_no_checkpoint_holds_is_said_with_it(tmp_path, caplog):
    settings = {**QUICK, "eval_episodes": 0}
    with pytest.raises(Stop), caplog.at_level(logging.WARNING, "policy_distill"):
        distill(Private(), "CartPole-v1", "linear", out=tmp_path / "run", tracker=Dies(640), **settings)
    said = "in a run that is resumed from this checkpoint a recurrent state starts from zero"
    assert caplog.text.count(said) == 1
    result = distill(Private(), "CartPole-v1", "linear", out=tmp_path / "run", resume=True, **settings)
    assert result.evaluation["env_steps"] == 1024


def test_the_newest_checkpoints_are_kept(tmp_path):
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", keep_checkpoints=2, **QUICK)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoint").iterdir())
    assert names == ["step-000000000896.safetensors", "step-000000001024.safetensors"]


def test_checkpoints_are_written_by_time_too(tmp_path):
    arguments = {**QUICK, "checkpoint_every": 0, "keep_checkpoints": 99}
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "some", checkpoint_minutes=1e-9, **arguments)
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "one", checkpoint_minutes=1e9, **arguments)
    assert len(newest_first(tmp_path / "some" / "checkpoint")) == 8
    assert len(newest_first(tmp_path / "one" / "checkpoint")) == 1


def test_a_checkpoint_knows_which_run_it_is_tracked_by(tmp_path):
    note = tmp_path / "run" / "wandb" / "policy_distill.json"

    def tracker(out, config):
        note.parent.mkdir(exist_ok=True)
        if not note.exists():
            note.write_text('{"id": "abc123", "mode": "online", "number": 3}')

    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", tracker=tracker, **QUICK)
    shutil.rmtree(note.parent)
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", resume=True, **QUICK)
    assert json.loads(note.read_text()) == {"id": "abc123", "mode": "online"}


def spoil_cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def spoil_flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def spoil_empty(path):
    path.write_bytes(b"")


def spoil_lie(path):
    tensors, record = read_sealed(path)
    del record["checkpoint"]["obs"]
    write_sealed(path, tensors, record)


@pytest.mark.parametrize("spoil", [spoil_cut, spoil_flip, spoil_empty, spoil_lie])
def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path, spoil, caplog):
    distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", out=tmp_path / "whole", **QUICK)
    with pytest.raises(Stop):
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", out=tmp_path / "run", tracker=Dies(640), **QUICK)
    newest, *_ = newest_first(tmp_path / "run" / "checkpoint")
    spoil(newest)
    (tmp_path / "run" / "checkpoint" / ".step-000000000640.safetensors.77.tmp").write_bytes(b"half of it")
    with caplog.at_level(logging.WARNING, "policy_distill"):
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", out=tmp_path / "run", resume=True, **QUICK)
    assert newest.name in caplog.text
    assert "going back to the checkpoint before" in caplog.text
    assert newest.with_name(newest.name + ".broken").exists()
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert not list((tmp_path / "run" / "checkpoint").glob(".*"))


def test_a_checkpoint_that_may_not_be_read_stays_where_it_is(tmp_path, monkeypatch):
    path = tmp_path / "step-000000000640.safetensors"
    path.write_bytes(b"whole")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    set_aside(path)
    assert path.read_bytes() == b"whole"
    monkeypatch.undo()
    set_aside(path)
    assert not path.exists() and path.with_name(path.name + ".broken").exists()


def test_a_checkpoint_that_cannot_be_read_again_stops_the_run_which_keeps_its_student(tmp_path, monkeypatch):
    from policy_distill.student import file as student_file

    save, name = student_file.save, "student.network.0.bias"
    monkeypatch.chdir(tmp_path)

    def spoil(tensors, metadata):
        # Of a checkpoint alone: a student's weights have shorter names.
        return save({**tensors, name: tensors[name] + 1} if name in tensors else tensors, metadata=metadata)

    monkeypatch.setattr(student_file, "save", spoil)
    with pytest.raises(RunFault, match=r"cannot be read again.*kept at"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", **QUICK)
    assert not newest_first(tmp_path / "run" / "checkpoint")
    assert load_student(tmp_path / "run-rescued.safetensors").n_params == 6


def test_where_every_checkpoint_is_broken_the_run_is_not_started_anew(tmp_path):
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", **QUICK)
    for path in newest_first(tmp_path / "run" / "checkpoint"):
        spoil_cut(path)
    with pytest.raises(RequestError, match=r"expected an intact checkpoint.*--overwrite"):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", resume=True, **QUICK)


def test_a_checkpoint_that_lies_under_a_right_checksum_is_refused_in_one_line(tmp_path):
    arguments = {**QUICK, "out": tmp_path / "run", "keep_checkpoints": 1}
    distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", **arguments)
    (path,) = newest_first(tmp_path / "run" / "checkpoint")
    tensors, sealed = read_sealed(path)
    record = sealed["checkpoint"]
    lies = [({}, {**record, name: value}) for name in record for value in (None, "x", [], {}, -1e300)]
    lies += [({}, {key: value for key, value in record.items() if key != name}) for name in record]
    lies += [({name: array[:1]}, record) for name, array in tensors.items() if array.ndim]
    lies += [({name: np.zeros((2, 3, 4), array.dtype)}, record) for name, array in tensors.items()]
    identity = json.loads((tmp_path / "run" / "config.json").read_text())
    envs, config = open_environments("Pendulum-v1", 4), make_config(None, QUICK)
    session = Session(pendulum_teacher(), envs, "mlp:8", forward_kl, config)
    load_checkpoint(path, SessionState(session, Selection(session, None)), identity)
    n_refused = 0
    for arrays, lie in lies:
        write_sealed(path, {**tensors, **arrays}, {"checkpoint": lie})
        session = Session(pendulum_teacher(), envs, "mlp:8", forward_kl, config)
        try:
            load_checkpoint(path, SessionState(session, Selection(session, None)), identity)
        except RequestError as error:
            assert "\n" not in str(error)
            n_refused += 1
    # The rest is a truth of another kind: no best student, no calibration, a step of 0, a shorter list.
    assert n_refused > 0.7 * len(lies)


def test_a_run_that_died_while_its_settings_were_written_starts_anew(tmp_path):
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "whole", **QUICK)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".config.json.77.tmp").write_text("{")
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", resume=True, **QUICK)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")
    assert not list((tmp_path / "run").glob(".*.tmp"))


def retrained(value):
    """Return a teacher without a file that has these weights."""
    teacher = corridor_teacher()
    teacher.weights = lambda: {"w": torch.tensor([value])}
    return teacher


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 5}, r"seed=0, found 5"),
        ({"n_steps": 16}, r"n_steps=32, found 16"),
        ({"provenance": {"sha256": "b"}}, r"teacher\.sha256='a', found 'b'"),
        ({"weights": retrained(2.0).weights, "provenance": {"sha256": None}}, r"teacher\.sha256='a', found None"),
        ({"env_wrappers": [{"name": "Flatten"}]}, r"made_with\.env_wrappers=\[\]"),
        ({"version": "9.9"}, r"library_versions\.policy-distill=.*found '9\.9'"),
        ({"env_timeout": 5.0, "keep_checkpoints": 2, "checkpoint_every": 256}, None),
    ],
)
def test_another_run_is_refused_by_the_field_that_differs(tmp_path, change, named, monkeypatch):
    teacher = corridor_teacher()
    teacher.provenance["sha256"] = "a"
    distill(teacher, Corridor, "linear", out=tmp_path / "run", **QUICK)
    teacher.provenance |= change.pop("provenance", {})
    for name in ("weights", "env_wrappers"):
        if name in change:
            setattr(teacher, name, change.pop(name))
    if "version" in change:
        found = change.pop("version")
        monkeypatch.setattr("policy_distill.run.provenance.version", lambda name: found)
    unwrapped = "policy_distill.run.settle.open_environments"
    monkeypatch.setattr(unwrapped, lambda env, n, wrappers: open_environments(env, n))
    if named is None:
        assert distill(teacher, Corridor, "linear", out=tmp_path / "run", resume=True, **{**QUICK, **change})
        return
    with pytest.raises(RequestError, match=named):
        distill(teacher, Corridor, "linear", out=tmp_path / "run", resume=True, **{**QUICK, **change})


def test_a_teacher_without_a_file_is_told_by_its_weights(tmp_path):
    distill(retrained(1.0), Corridor, "linear", out=tmp_path / "run", **QUICK)
    distill(retrained(1.0), Corridor, "linear", out=tmp_path / "run", resume=True, **QUICK)
    with pytest.raises(RequestError, match=r"made_with\.weights="):
        distill(retrained(2.0), Corridor, "linear", out=tmp_path / "run", resume=True, **QUICK)


class Signals(Dies):
    """Sends a signal to its own process at a step."""

    def log(self, metrics, step):
        if step >= self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_in_the_middle_saves_and_the_run_goes_on_as_if_there_had_been_none(tmp_path):
    distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", out=tmp_path / "whole", **QUICK)
    arguments = {**QUICK, "checkpoint_every": 0, "out": tmp_path / "run"}
    with pytest.raises(Interrupted, match="at 512 of 1024 steps; the checkpoint is written"):
        distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", tracker=Signals(512), **arguments)
    distill(pendulum_teacher(), "Pendulum-v1", "mlp:8", resume=True, **arguments)
    found, expected = contents(tmp_path / "run"), contents(tmp_path / "whole")
    assert found["metrics"] == expected["metrics"]
    assert found["evaluation"] == expected["evaluation"]


class Asks(gymnasium.Wrapper):
    """Sends a signal at a step of an episode of the proof, or of the selection, and nowhere else."""

    number = signal.SIGINT
    times = 1
    seeds = range(0)

    def reset(self, *, seed=None, options=None):
        self.t, self.asks = 0, seed in self.seeds
        return self.env.reset(seed=seed, options=options)

    def step(self, action):
        self.t += 1
        if self.asks and self.t == 3 and self.seeds:
            type(self).seeds = range(0)
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)
        return self.env.step(action)


@pytest.fixture
def one_core(monkeypatch):
    """No process beside this one: all episodes are run here."""
    monkeypatch.setattr("policy_distill.evaluation.reference.has_idle_core", lambda: False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("where", "seeds"), [("while episodes were run", range(4)), ("of 1024 steps", range(SELECTION, SELECTION + 2))]
)
def test_a_signal_during_an_evaluation_stops_and_loses_nothing(tmp_path, number, where, seeds, one_core):
    def make():
        return Asks(Corridor())

    Asks.seeds, Asks.number, Asks.times = range(0), number, 1
    distill(corridor_teacher(), make, "linear", out=tmp_path / "whole", **QUICK)
    Asks.seeds = seeds
    with pytest.raises(Interrupted, match=f"{where}; the checkpoint is written"):
        distill(corridor_teacher(), make, "linear", out=tmp_path / "run", **QUICK)
    distill(corridor_teacher(), make, "linear", out=tmp_path / "run", resume=True, **QUICK)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


class Counts(gymnasium.Wrapper):
    """Sends a signal at a step of its own count in this process, and counts on."""

    n_steps = at = 0

    def step(self, action):
        Counts.n_steps += 1
        if Counts.n_steps == Counts.at:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.env.step(action)


class Slow:
    """A teacher that is asked to stop while it labels, the n-th time."""

    def __init__(self, at):
        self.plain, self.n, self.at = pendulum_teacher(), 0, at

    def __getattr__(self, name):
        return getattr(self.__dict__["plain"], name)

    def label(self, obs, *rest):
        self.n += len(obs) > 1
        if self.n == self.at and len(obs) > 1:
            os.kill(os.getpid(), signal.SIGTERM)
            stop_if_requested("while states were labelled")
        return self.plain.label(obs, *rest)


@pytest.mark.parametrize(("at", "labels"), [(4 * 32 * 3 + 41, 0), (0, 4)])
def test_a_stop_within_a_rollout_is_obeyed_there_and_loses_that_rollout_alone(tmp_path, at, labels):
    def make():
        return Counts(gymnasium.make("Pendulum-v1"))

    settings = {**QUICK, "checkpoint_every": 0, "eval_episodes": 0, "n_steps": 32}
    Counts.at = 0
    distill(Slow(0), make, "mlp:8", out=tmp_path / "whole", **settings)
    Counts.n_steps, Counts.at = 0, at
    with pytest.raises(Interrupted, match="at 384 of 1024 steps; the checkpoint is written"):
        distill(Slow(labels), make, "mlp:8", out=tmp_path / "run", **settings)
    if at:
        assert at <= Counts.n_steps < at + 4, "no step of all environments after the one that was asked in"
    Counts.at = 0
    distill(Slow(0), make, "mlp:8", resume=True, out=tmp_path / "run", **settings)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_stop_in_the_first_rollout_keeps_nothing_and_says_so(tmp_path):
    Counts.n_steps, Counts.at = 0, 10
    with pytest.raises(Interrupted, match="at 0 of 1024 steps; nothing was kept"):
        distill(pendulum_teacher(), lambda: Counts(gymnasium.make("Pendulum-v1")), out=tmp_path / "run", **QUICK)


class Begins(gymnasium.Wrapper):
    """Sends a signal where it is made, or begins an episode, for the n-th time in all."""

    made_at = reset_at = 0

    def __init__(self, env):
        super().__init__(env)
        Begins.made_at -= 1
        if Begins.made_at == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    def reset(self, *, seed=None, options=None):
        Begins.reset_at -= 1
        if Begins.reset_at == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.env.reset(seed=seed, options=options)


def test_a_signal_while_a_run_opens_or_comes_back_stops_it_there_and_loses_nothing(tmp_path):
    def begin(name, *, made_at=0, reset_at=0, **arguments):
        Begins.made_at, Begins.reset_at = made_at, reset_at
        settings = {**QUICK, "select_episodes": 0, "out": tmp_path / name}
        return distill(pendulum_teacher(), lambda: Begins(gymnasium.make("Pendulum-v1")), **settings, **arguments)

    begin("whole")
    with pytest.raises(Interrupted, match="before the first step; nothing was kept") as stopped:
        begin("run", made_at=2)
    assert not stopped.value.saved
    assert not (tmp_path / "run").exists()
    with pytest.raises(Stop):
        begin("run", tracker=Dies(640))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    moments = {"made_at": "before the first step", "reset_at": "while its episodes were brought back"}
    for moment, where in moments.items():
        with pytest.raises(Interrupted, match=f"{where}; the checkpoint is written") as stopped:
            begin("run", resume=True, **{moment: 2})
        assert stopped.value.saved
        assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    begin("run", resume=True)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_a_signal_before_a_run_is_replaced_leaves_it_alone(tmp_path):
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", **QUICK)
    before = contents(tmp_path / "run")
    Begins.made_at = 1
    with pytest.raises(Interrupted, match="nothing was kept"):
        distill(corridor_teacher(), lambda: Begins(Corridor()), "linear", out=tmp_path / "run", overwrite=True, **QUICK)
    assert contents(tmp_path / "run") == before


class Silent(gymnasium.vector.SyncVectorEnv):
    """A vector that starts its episodes by itself, and does not answer once it is told to."""

    silent = False

    def reset(self, **options):
        while self.silent:
            time.sleep(0.1)
        return super().reset(**options)


def test_a_vector_that_hangs_at_the_first_reset_of_a_resumed_run_is_named(tmp_path):
    arguments = {**QUICK, "env_timeout": 0.4, "eval_episodes": 0, "out": tmp_path / "run"}
    envs = Silent([Corridor] * 4)
    vector = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
    with pytest.raises(Stop):
        distill(corridor_teacher(), vector, "linear", tracker=Dies(640), **arguments)
    envs.silent = True
    with pytest.raises(RunFault, match=r"one of 4 environments at step \d+: it took longer than 0\.4 seconds"):
        distill(corridor_teacher(), vector, "linear", resume=True, **arguments)


def test_a_second_interrupt_stops_at_once(tmp_path, one_core):
    Asks.seeds, Asks.number, Asks.times = range(4), signal.SIGINT, 2
    with pytest.raises(KeyboardInterrupt) as stopped:
        distill(corridor_teacher(), lambda: Asks(Corridor()), "linear", out=tmp_path / "run", **QUICK)
    assert not isinstance(stopped.value, Interrupted)


def test_a_run_that_ended_can_be_proven_again_without_a_second_line(tmp_path):
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", **QUICK)
    before = contents(tmp_path / "run")
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", resume=True, **QUICK)
    assert contents(tmp_path / "run") == before


def test_a_run_that_died_before_its_first_checkpoint_starts_anew(tmp_path, caplog):
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "whole", **QUICK)
    with pytest.raises(Stop):
        distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", tracker=Dies(1), **QUICK)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["student"] == "linear"
    distill(corridor_teacher(), Corridor, "linear", out=tmp_path / "run", resume=True, **QUICK)
    assert "before its first checkpoint: it starts from the beginning" in caplog.text
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


@pytest.mark.parametrize("agent", ["ppo-LunarLander-v2/LunarLander-v2", "tqc-Walker2d-v3/Walker2d-v3"])
def test_agents_in_box2d_and_mujoco_resume_bit_for_bit(zoo, tmp_path, agent):
    path = zoo / f"{agent}.zip"
    env = find_env(None, path)
    settings = {"n_steps": 64, "timesteps": 1024, "n_epochs": 1, "checkpoint_every": 256}
    whole, died = die_and_resume(tmp_path, lambda: load_teacher(path, env=env), lambda: env, at=(768,), **settings)
    assert whole == died
