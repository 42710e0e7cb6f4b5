"""Cells as tasks of Ray, on two nodes of a cluster on this machine; workers and nodes die."""

import json
import os
import signal
import sys
import threading
import time

import pytest
from stable_baselines3 import PPO

from policy_distill.errors import RequestError
from policy_distill.run.suite.backends import Workplace
from policy_distill.run.suite.cells import SuiteCell
from policy_distill.run.suite.ray_cells import LOOPBACK, RayBackend
from policy_distill.run.suite.suite import run_cells, run_suite
from policy_distill.system.interrupts import Interrupted
from policy_distill.system.workers.settings import WorkerSettings
from tests.run.suite.doubles import DONE, script_cell

ray = pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files of processes that were killed to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
PATIENCE = 60
"""Seconds in which a cluster surely notices."""


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    here = {"node_ip_address": LOOPBACK, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **here})
    yield made
    ray.shutdown()
    made.shutdown()


def backend(cluster, **others):
    return RayBackend(cluster.address, **others)


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_worker_that_is_killed_costs_its_cell_nothing(cluster, tmp_path):
    kills = "seen = folder.with_name('seen')\nif not seen.exists():\n"
    kills += "    seen.touch(); os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)\n"
    dies, other = script_cell(tmp_path / "a", kills + DONE, "dies"), script_cell(tmp_path / "b", DONE, "other")
    found = run_cells([dies, other], backend(cluster), tmp_path, retries=0)
    assert [(one.state, one.attempts) for one in found] == [("done", 2), ("done", 1)]


# It begins with a checkpoint and waits to be released; once it goes on from one it ends.
WAITS = """
import pathlib, sys, time
released, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
if "--resume" not in sys.argv:
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "step-000000000001.safetensors").touch()
    while not released.exists():
        time.sleep(0.05)
(folder / "evaluation.json").write_text("{}")
"""


def test_a_node_that_dies_costs_no_more_than_what_came_after_the_last_copy(cluster, tmp_path):
    node = cluster.add_node(num_cpus=1, node_ip_address=LOOPBACK, include_dashboard=False)
    words = (sys.executable, "-c", WAITS, str(tmp_path / "released"))
    cells = [SuiteCell(name, tmp_path / "out" / name, words) for name in ("one", "other")]
    (tmp_path / "out").mkdir()

    def kill():
        until(lambda: all((cell.folder / "checkpoint").exists() for cell in cells))
        cluster.remove_node(node, allow_graceful=False)

    def say(line):
        # The survivor holds the one core that is left until the other is known to have died.
        if "again" in line:
            (tmp_path / "released").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    place = backend(cluster, storage="object", copy_seconds=0.1)
    found = run_cells(cells, place, tmp_path / "out", retries=0, say=say)
    killer.join()
    assert [one.state for one in found] == ["done"] * 2
    assert sorted(one.attempts for one in found) == [1, 2], "one of them moved"


STOPPED = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
def end(*_):
    (folder / "saved").touch(); sys.exit(130)
signal.signal(signal.SIGTERM, end)
folder.mkdir(parents=True); (folder / "checkpoint").mkdir()
(folder / "checkpoint" / "step-000000000001.safetensors").touch()
time.sleep(600)
"""


def test_what_is_interrupted_comes_back_with_its_checkpoint(cluster, tmp_path):
    cells = [SuiteCell(name, tmp_path / name, (sys.executable, "-c", STOPPED)) for name in ("one", "other")]

    def interrupt():
        try:
            until(lambda: any((cell.folder / "checkpoint").exists() for cell in cells))
        finally:
            # In any case, or the cell that waits to be stopped waits for minutes.
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted):
        run_cells(cells, backend(cluster, storage="object", copy_seconds=0.1), tmp_path)
    # There is a core for one of them, and Ray does not say for which.
    (ran,) = [cell for cell in cells if cell.folder.exists()]
    assert (ran.folder / "saved").exists()


def test_a_suite_on_a_cluster_that_shares_no_folder_leaves_what_a_local_one_does(cluster, tmp_path):
    settings = {"n_steps": 16, "batch_size": 16, "device": "cpu", "policy_kwargs": {"net_arch": [8]}}
    PPO("MlpPolicy", "CartPole-v1", **settings).save(tmp_path / "teacher.zip")
    quick = {"timesteps": 256, "n_envs": 4, "n_steps": 32, "n_epochs": 1, "eval_episodes": 3, "select_episodes": 2}
    grid = {"teachers": [{"path": str(tmp_path / "teacher.zip"), "env": "CartPole-v1"}], "students": "mlp:4"}
    place = Workplace("ray", address=cluster.address, storage="object")
    result = run_suite({**grid, "distill": quick}, tmp_path / "out", workplace=place)
    assert result.ok
    (cell,) = result.outcomes
    config = json.loads((cell.cell.folder / "config.json").read_text())
    assert config["request"]["teacher"] == str(tmp_path / "teacher.zip")
    assert str(tmp_path / "teacher.zip") in (cell.cell.folder / "report.html").read_text()
    assert cell.cell.log.exists()


def test_no_cluster_at_an_address_is_a_wrong_request(tmp_path):
    ray.shutdown()
    with pytest.raises(RequestError, match="--address"):
        Workplace("ray", address="nonsense").open()
    with pytest.raises(RequestError, match="--backend ray"):
        Workplace(address="auto")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_where_nobody_listens_is_refused_at_once(address, monkeypatch):
    ray.shutdown()
    monkeypatch.setattr(ray, "init", lambda **settings: pytest.fail("Ray would ask for minutes"))
    with pytest.raises(RequestError, match="nothing that listens"):
        Workplace("ray", address=address).open()
    with pytest.raises(RequestError, match="nothing that listens"):
        WorkerSettings(2, "ray", address).pool()
