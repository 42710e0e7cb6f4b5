import json
import logging
import math
import os
import signal
import sys
from collections import Counter
from contextlib import ExitStack

import gymnasium
import numpy as np
import pytest

from policy_distill.compression import border, candidates, population
from policy_distill.compression.compress import compress
from policy_distill.compression.judge import Judge
from policy_distill.compression.kinds import Kinds
from policy_distill.compression.limits import Limits
from policy_distill.compression.race import Race
from policy_distill.compression.state import RaceState
from policy_distill.config import make_config
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.losses.kl import forward_kl
from policy_distill.run.checkpoints.checkpoint import load_checkpoint
from policy_distill.run.checkpoints.files import newest_first
from policy_distill.run.distill import distill
from policy_distill.run.stream import Stream
from policy_distill.seeds import BLOCK, SELECTION, measured_seed
from policy_distill.student.file import read_sealed, write_sealed
from policy_distill.system.interrupts import Interrupted
from policy_distill.training import trainer as training
from tests.doubles import cartpole_teacher, pendulum_teacher
from tests.environments.test_restarts import Trips
from tests.kill import contents, without_restarts
from tests.run.test_resume import Dies, Signals, Stop, spoil_cut, spoil_flip

# Rollouts of 128 states; students are dropped after 256, 512 and 1,024 of them.
SETTINGS = {
    "eval_seed": 0,
    **{"timesteps": 2048, "n_envs": 4, "n_steps": 32, "n_epochs": 2, "batch_size": 64, "checkpoint_every": 128},
    **{"eval_episodes": 20, "max_episode_steps": 60},
}
QUICK = {**SETTINGS, "retention": 0.6}
NETWORKS = ["linear", "mlp:2", "mlp:8", "mlp:24"]
LIED_ABOUT = ["linear", "mlp:2", "mlp:24"]
compress_module = sys.modules[compress.__module__]
TIMES = ("seconds", "wall_seconds", "cost_of_one")


def found_in(out):
    """Return all that a compression says, apart from times."""
    record = json.loads((out / "compression.json").read_text())
    assert all(record.pop(name) is not None for name in TIMES)
    files = sorted((out / "students").rglob("*.safetensors"))
    front = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in files}
    return {**contents(out), "compression": record, "front": front}


class Falls:
    """Is told what a compression says, and dies at the n-th line that holds some words."""

    def __init__(self, words, n=1):
        self.words, self.left = words, n

    def __call__(self, line):
        self.left -= self.words in line
        if self.left == 0:
            raise Stop


def run(out, make_teacher=cartpole_teacher, env="CartPole-v1", students=NETWORKS, **settings):
    return compress(make_teacher(), env, students=students, out=out, **{**QUICK, **settings})


def die_and_resume(folder, *deaths, make_teacher=cartpole_teacher, env=lambda: "CartPole-v1", **settings):
    """Run once to the end and once with deaths; return what both folders say."""
    run(folder / "whole", make_teacher, env(), **settings)
    for number, death in enumerate(deaths):
        how = {"tracker": Dies(death)} if isinstance(death, int) else {"say": death}
        with pytest.raises(Stop):
            run(folder / "died", make_teacher, env(), resume=number > 0, **{**settings, **how})
    run(folder / "died", make_teacher, env(), resume=True, **settings)
    return found_in(folder / "whole"), found_in(folder / "died")


@pytest.mark.parametrize(
    "deaths",
    [
        pytest.param((256,), id="before the first rung"),
        pytest.param((384, 768), id="between rungs, twice"),
        pytest.param((1152,), id="after the last rung"),
        pytest.param((lambda: Falls(" parameters keep "),), id="at the border"),
        pytest.param((640, lambda: Falls(" parameters keep ", 4)), id="in a second look at the border"),
        pytest.param((lambda: Falls("in 20 episodes"),), id="in the proof"),
        pytest.param((lambda: Falls("once more"),), id="while the winner is proven again"),
    ],
)
def test_a_compression_that_died_equals_one_that_did_not(tmp_path, deaths, caplog, monkeypatch):
    # Where nobody is sure to be proven, the border is looked at again.
    monkeypatch.setattr(border, "SURE", math.inf)
    deaths = [death if isinstance(death, int) else death() for death in deaths]
    with caplog.at_level(logging.WARNING, "policy_distill"):
        whole, died = die_and_resume(tmp_path, *deaths)
    assert whole == died
    assert set(died["front"]) == {f"{one['spec']}/student.safetensors" for one in died["compression"]["front"]}
    # The students at the border act for half as many steps as the race.
    assert [row["time/env_steps"] for row in died["metrics"]] == [*range(128, 2049, 128), 3072]
    assert "could not be brought back" not in caplog.text


@pytest.mark.parametrize("deaths", [(640,), (384, lambda: Falls(" parameters keep ", 2))])
@pytest.mark.parametrize("dense", [True, False])
def test_students_that_learn_alone_resume_bit_for_bit(tmp_path, monkeypatch, dense, deaths):
    monkeypatch.setattr(population, "NARROW", 2)
    if not dense:
        for module, name in ((population, "is_dense"), (training, "is_written_out")):
            monkeypatch.setattr(module, name, lambda student: False)
    deaths = [death if isinstance(death, int) else death() for death in deaths]
    whole, died = die_and_resume(tmp_path, *deaths, students=["linear", "mlp:8", "mlp:24"])
    assert whole == died


def test_gaussian_students_resume_bit_for_bit(tmp_path):
    env, deaths = lambda: "Pendulum-v1", (256, Falls(" parameters"))
    whole, died = die_and_resume(tmp_path, *deaths, make_teacher=pendulum_teacher, env=env)
    assert whole == died
    # Its teacher is no better than chance within so few steps, so nobody is proven, and the same one is handed back.
    assert died["compression"]["verdict"] == "undefined"


@pytest.mark.parametrize("settings", [{"loss": "nll_sampled"}, {"buffer": "latest"}, {"buffer_size": 300}])
def test_other_settings_resume_bit_for_bit(tmp_path, settings):
    whole, died = die_and_resume(tmp_path, 384, 1152, students=["linear", "mlp:2", "mlp:24"], **settings)
    assert whole == died


@pytest.fixture
def trips(monkeypatch):
    """Environments that fail in the episodes of some seeds."""
    for name, value in {"seeds": set(), "made": Counter()}.items():
        monkeypatch.setattr(Trips, name, value)
    return Trips


def trips_cart_pole():
    return Trips(gymnasium.make("CartPole-v1"))


@pytest.mark.parametrize("death", [384, Falls(" parameters keep ", 2)], ids=["collecting", "border"])
def test_a_compression_whose_judging_and_proof_failed_and_that_died_equals_one_that_did_neither(tmp_path, trips, death):
    settings = {"students": ["linear", "mlp:2", "mlp:24"], "env_restarts": 500}
    run(tmp_path / "whole", env=trips_cart_pole, **settings)
    trips.made.clear()
    # Of selection, the proof, the second proof of the winner, and what is measured on the student's own states.
    trips.seeds = {SELECTION + 3, SELECTION + 12, 2, 7, BLOCK + 1, measured_seed(0, 1, 0)}
    how = {"tracker": Dies(death)} if isinstance(death, int) else {"say": death}
    with pytest.raises(Stop):
        run(tmp_path / "died", env=trips_cart_pole, **how, **settings)
    run(tmp_path / "died", env=trips_cart_pole, resume=True, **settings)
    (whole, none, _), (died, counts, total) = (
        without_restarts(found_in(tmp_path / name)) for name in ("whole", "died")
    )
    assert whole == died
    assert set(none) == {0}
    assert counts == sorted(counts)
    assert total == counts[-1] > 6


def test_a_signal_saves_and_the_compression_goes_on_as_if_there_had_been_none(tmp_path):
    run(tmp_path / "whole")
    arguments = {"out": tmp_path / "run", "checkpoint_every": 0}
    with pytest.raises(Interrupted, match="at 640 of 2048 steps; the checkpoint is written"):
        run(tracker=Signals(640), **arguments)
    run(resume=True, **arguments)
    found, whole = found_in(tmp_path / "run"), found_in(tmp_path / "whole")
    for name in ("metrics", "evaluation"):
        assert found[name] == whole[name]
    assert found["compression"] == whole["compression"]


@pytest.mark.parametrize("spoil", [spoil_cut, spoil_flip])
def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path, spoil, caplog):
    run(tmp_path / "whole")
    with pytest.raises(Stop):
        run(tmp_path / "run", tracker=Dies(1280))
    newest, *_ = newest_first(tmp_path / "run" / "checkpoint")
    spoil(newest)
    with caplog.at_level(logging.WARNING, "policy_distill"):
        run(tmp_path / "run", resume=True)
    assert "going back to the checkpoint before" in caplog.text
    assert found_in(tmp_path / "run") == found_in(tmp_path / "whole")


def test_a_checkpoint_of_another_compression_is_refused_by_the_field_that_differs(tmp_path):
    with pytest.raises(Stop):
        run(tmp_path / "run", tracker=Dies(640))
    for change, named in (
        ({"retention": 0.7}, r"compress\.bar=0\.6, found 0\.7"),
        ({"minimize": "macs"}, r"compress\.minimize='params', found 'macs'"),
        ({"students": ["linear", "mlp:2"]}, r"student='linear mlp:2 mlp:8 mlp:24', found 'linear mlp:2'"),
        ({"max_params": 100}, r"compress\.max_params=None, found 100"),
        ({"seed": 1}, r"seed=0, found 1"),
    ):
        with pytest.raises(RequestError, match=named):
            run(tmp_path / "run", resume=True, **change)
    with pytest.raises(RequestError, match="the checkpoint was made with"):
        distill(cartpole_teacher(), "CartPole-v1", "mlp:2", out=tmp_path / "run", resume=True, timesteps=2048)


def race_state(stack):
    """Return a race that was just opened, with what it is called."""
    envs, config = open_environments("Pendulum-v1", 4), make_config(None, {**SETTINGS, "timesteps": 512})
    stream = Stream(pendulum_teacher(), envs, config, "linear")
    kinds = Kinds(stream, forward_kl, Limits(0.6))
    return RaceState(Race(stream, kinds, LIED_ABOUT, Judge(stream, "Pendulum-v1", stack, 0.6), 0.6))


def test_a_checkpoint_that_lies_under_a_right_checksum_is_refused_in_one_line(tmp_path):
    run(tmp_path / "run", pendulum_teacher, "Pendulum-v1", LIED_ABOUT, keep_checkpoints=1, timesteps=512)
    (path,) = newest_first(tmp_path / "run" / "checkpoint")
    tensors, sealed = read_sealed(path)
    record = sealed["checkpoint"]
    lies = [({}, {**record, name: value}) for name in record for value in (None, "x", [], {}, -1e300)]
    lies += [({}, {key: value for key, value in record.items() if key != name}) for name in record]
    lies += [({name: array[:1]}, record) for name, array in tensors.items() if array.ndim and len(array) > 1]
    lies += [({name: np.zeros((2, 3, 4), array.dtype)}, record) for name, array in tensors.items()]
    identity = json.loads((tmp_path / "run" / "config.json").read_text())
    with ExitStack() as stack:
        load_checkpoint(path, race_state(stack), identity)
        taken = []
        for arrays, lie in lies:
            write_sealed(path, {**tensors, **arrays}, {"checkpoint": lie})
            try:
                load_checkpoint(path, race_state(stack), identity)
            except RequestError as error:
                assert "\n" not in str(error)
            else:
                taken.append((list(arrays), lie))
    assert len(taken) < 0.2 * len(lies)


class AsksWhileJudging(Judge):
    """Asks to stop when it has judged so many students, in the middle of the next one."""

    left = 0

    def _play(self, student, n_episodes):
        type(self).left -= 1
        if type(self).left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return super()._play(student, n_episodes)


@pytest.mark.parametrize(("judged", "timesteps"), [(1, 2048), (3, 2048), (2, 128)])
def test_a_signal_while_students_are_judged_loses_no_rung_and_counts_no_step_twice(
    tmp_path, monkeypatch, judged, timesteps
):
    settings = {"timesteps": timesteps, "checkpoint_every": 0, "students": LIED_ABOUT}
    run(tmp_path / "whole", **settings)
    monkeypatch.setattr(compress_module, "Judge", AsksWhileJudging)
    AsksWhileJudging.left = judged
    with pytest.raises(Interrupted, match="the checkpoint is written"):
        run(tmp_path / "run", **settings)
    run(tmp_path / "run", resume=True, **settings)
    assert found_in(tmp_path / "run") == found_in(tmp_path / "whole")


def test_what_is_measured_anew_in_a_resumed_run_changes_nothing(tmp_path, monkeypatch):
    """Latencies, which put the candidates in order."""
    measured = iter(range(1000, 0, -1))
    monkeypatch.setattr(candidates, "latency_us", lambda student: float(next(measured)))
    settings = {"minimize": "latency", "students": LIED_ABOUT}
    run(tmp_path / "whole", **settings)
    measured = iter(range(1000, 0, -1))
    with pytest.raises(Stop):
        run(tmp_path / "died", tracker=Dies(640), **settings)
    # Of three that are opened again the order is another one, and the rest goes on as it would have.
    measured = iter([1.0, 2.0, 3.0, *range(997, 0, -1)])
    run(tmp_path / "died", resume=True, **settings)
    assert found_in(tmp_path / "died") == found_in(tmp_path / "whole")
