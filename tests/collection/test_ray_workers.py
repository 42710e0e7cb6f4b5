"""Workers on a cluster of two machines, of which one goes away: the student is the one of a single process."""

import logging
import random

import pytest

from policy_distill.system.workers.settings import WorkerSettings
from tests.collection.test_workers import assert_equal, made_by
from tests.doubles import pendulum_teacher

ray = pytest.importorskip("ray")


@pytest.fixture
def cluster(monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # The smallest store that Ray allows; the head has no room for a worker.
    size = {"object_store_memory": 80 * 2**20}
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "node_ip_address": "127.0.0.2", **size})
    found.nodes = [found.add_node(num_cpus=2, **size) for _ in range(2)]
    ray.init(address=found.address, log_to_driver=False, logging_level=logging.ERROR)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_actors_that_are_killed_and_a_machine_that_goes_away_change_nothing(cluster, monkeypatch, caplog):
    from policy_distill.system.workers.ray_actors import RayWorker

    rng, ask, asked = random.Random(0), RayWorker.ask, []
    fatal = set(rng.sample(range(4, 60), 10))

    def kills(worker, request):
        ask(worker, request)
        asked.append(worker)
        if len(asked) in fatal:
            ray.wait(worker.pending, timeout=rng.choice((0.0, 0.01, 0.05)))
            ray.kill(worker._actor)
        if len(asked) == 30:
            cluster.remove_node(cluster.nodes[0], allow_graceful=False)

    settings = {"timesteps": 4096, "n_steps": 32}
    alone = made_by(0, pendulum_teacher, "Pendulum-v1", **settings)
    monkeypatch.setattr(RayWorker, "ask", kills)
    with caplog.at_level(logging.WARNING, "policy_distill"):
        assert_equal(alone, made_by(WorkerSettings(2, "ray"), pendulum_teacher, "Pendulum-v1", **settings))
    assert len(asked) > max(fatal)
    assert caplog.text.count("a worker was lost") >= 5
    assert "could not be brought back" not in caplog.text
    assert ray.is_initialized(), "a cluster that was there before stays"
