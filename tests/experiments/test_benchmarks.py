import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import proven
from experiments.benchmarks.growth import exponent
from experiments.benchmarks.learning import first
from experiments.benchmarks.novelty import auroc
from experiments.benchmarks.plain import distill_plainly
from experiments.benchmarks.tasks import TASKS, make_teacher, prepare
from policy_distill.errors import RequestError
from tests.doubles import cartpole_teacher

ROOT = Path(__file__).parents[2]


def run(name, *arguments):
    command = [sys.executable, "-m", f"experiments.benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_speed_is_measured_in_turn_and_split_into_stages(zoo, tmp_path):
    arguments = ["--zoo", str(zoo), "--task", "acrobot", "--timesteps", "2048", "--runs", "2", "--out", str(tmp_path)]
    done = run("speed", *arguments)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "speed.json").read_text())["acrobot"]
    assert set(record["seconds"]) == {"environment alone", "policy-distill", "plain script"}
    assert all(len(values) == 2 for values in record["seconds"].values())
    stages = record["stages"]
    assert set(stages) == {"environment", "acting", "labelling", "training", "fidelity", "the rest"}
    # Of two runs the medians are means, and what is left over is one of the stages: nothing is timed here.
    assert sum(stages.values()) == pytest.approx(np.median(record["seconds"]["policy-distill"]))
    assert 0 < record["memory_mb"]["beyond"] < record["memory_mb"]["peak"]
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    assert "ratio to the environment" in done.stdout


@pytest.mark.slow
def test_learning_is_followed_on_the_same_episodes_for_both(zoo, tmp_path):
    arguments = ["--zoo", str(zoo), "--task", "acrobot", "--timesteps", "3072", "--seeds", "0", "--out", str(tmp_path)]
    done = run("learning", *arguments)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "learning.json").read_text())["acrobot"]
    for (points,) in record["runs"].values():
        assert [point["env_steps"] for point in points] == [1024, 2048, 3072]
        assert all(np.diff([point["seconds"] for point in points]) > 0)
    assert (tmp_path / "learning.png").stat().st_size > 10_000


@pytest.mark.slow
def test_growth_is_measured_for_each_size(tmp_path):
    sizes = ["--n-envs", "1", "4", "--widths", "8", "16", "--states", "10000", "20000"]
    done = run("growth", "--timesteps", "1024", "--runs", "1", *sizes, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    curves = json.loads((tmp_path / "growth.json").read_text())
    assert [point["size"] for point in curves["environments"]] == [1, 4]
    assert [point["megabytes"] for point in curves["states in the buffer"]] == pytest.approx(
        [n * 12 * 4 / 2**20 for n in (10_000, 20_000)]
    )
    assert done.stdout.count("steepest exponent") == 4


@pytest.mark.slow
def test_a_population_is_measured_beside_each_of_its_students():
    done = run("population", "--rounds", "2", "--steps", "1")
    assert done.returncode == 0, done.stderr
    for family in ("categorical", "diagonal_gaussian"):
        _, _, rows = done.stdout.partition(family)
        assert "71: up to width 16, restarts below 6" in rows


def test_learning_of_students_with_a_memory_is_measured_beside_mlps_of_their_size():
    done = run("remembering", "--rounds", "2", "--states", "2048", "--stored", "2000")
    assert done.returncode == 0, done.stderr
    for family in ("categorical", "diagonal_gaussian"):
        _, _, rows = done.stdout.partition(family)
        assert rows.count("gru:16") >= 2 and "history:4+mlp:32" in rows


def test_the_exponent_of_linear_growth_is_one():
    points = [{"size": size, "microseconds": 3.0 * size} for size in (1, 8, 64)]
    assert exponent(points) == pytest.approx(1.0)
    assert exponent([*points, {"size": 128, "microseconds": 3.0 * 64 * 4}]) == pytest.approx(2.0)


def test_the_first_student_that_is_good_enough_counts_also_below_zero():
    points = [{"return": value} for value in (-200.0, -104.0, -90.0)]
    assert first(points, -100.0, 0.95) == {"return": -104.0}
    assert first(points, -100.0, 0.99) == {"return": -90.0}
    assert first(points, -50.0, 0.95) is None


def test_the_plain_script_learns():
    *_, (env_steps, student) = distill_plainly(cartpole_teacher(), "CartPole-v1", (16,), 20_480)
    assert env_steps == 20_480
    obs = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32) * 0.3
    taught, _ = cartpole_teacher().predict(obs, deterministic=True)
    assert (student.predict(obs)[0] == taught).mean() > 0.8


def test_a_collection_that_is_needed_and_not_named_is_asked_for(tmp_path):
    with pytest.raises(RequestError, match="--zoo"):
        make_teacher("lunar_lander", None, tmp_path)
    assert {task.env_id for task in TASKS.values()} >= {"CartPole-v1", "LunarLander-v3", "HalfCheetah-v5"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed", "--task", "nonsense"], "found nonsense"),
        (["learning", "--task", "nonsense"], "found nonsense"),
        (["memory", "--task", "nonsense"], "found nonsense"),
        (["speed"], "--zoo"),
        (["speed", "--zoo", ""], "ppo-LunarLander-v2"),
        (["speed", "--task", "cartpole", "--runs", "0"], "--runs"),
        (["learning", "--task", "cartpole", "--timesteps", "8"], "--timesteps"),
        (["learning", "--task", "pong"], "pong"),
        (["proven", "--zoo", "nowhere"], "ars-CartPole-v1"),
    ],
)
def test_a_benchmark_that_cannot_be_made_is_refused_before_anything_is_measured(arguments, message, tmp_path):
    done = run(*arguments, "--out", str(tmp_path / "benchmarks"))
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.glob("benchmarks/*")) == []


def test_a_proven_student_is_timed_beside_as_many_steps(zoo, tmp_path):
    proven.main(proven.Config(zoo, ("ars-CartPole-v1",), runs=1, timesteps=2048, out=tmp_path))
    (record,) = json.loads((tmp_path / "proven.json").read_text()).values()
    assert record["env_steps"] > 2048 and all(len(seconds) == 1 for seconds in record["seconds"].values())


def test_the_folder_of_results_is_made_before_they_are(tmp_path):
    prepare(["cartpole"], None, tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()


def test_learning_of_students_of_images_is_measured_in_each_layout_and_precision():
    quick = ["--rounds", "1", "--seconds", "0", "--stored", "64", "--side", "20", "--batch-sizes", "8"]
    done = run("images", "--students", "cnn:4", "cnn:4+mlp:8", *quick)
    assert done.returncode == 0, done.stderr
    for part in ("cnn:4,", "cnn:4+mlp:8,"):
        _, _, rows = done.stdout.partition(part)
        assert all(name in rows for name in ("drawing it", "channels first", "channels last", "bfloat16, last"))


def test_a_devices_labels_and_training_are_measured_in_both_precisions():
    quick = ["--device", "cpu", "--states", "64", "--width", "8", "--side", "36", "--rounds", "1", "--seconds", "0"]
    done = run("device", "--students", "cnn:4", "--batch-sizes", "8", "16", *quick)
    assert done.returncode == 0, done.stderr
    labels, training = done.stdout.split("\n\n")
    assert "labels a second" in labels and "float32" in labels and "autocast" in labels
    assert training.count("cnn:4") == 2


def test_auroc_counts_pairs_and_halves_of_ties():
    assert auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert auroc(np.array([3.0]), np.array([1.0, 2.0])) == 0.0


@pytest.mark.slow
def test_what_a_monitor_notices_is_measured_for_each_condition(zoo, tmp_path):
    small = ["--timesteps", "4096", "--episodes", "150", "--fresh", "4", "--out", str(tmp_path / "rows.jsonl")]
    done = run("novelty", "--zoo", str(zoo), "--task", "cartpole", *small)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row.get("condition") for row in rows][:2] == ["none", "obs-noise:0.1"]
    # Noise on a pole that hardly moves is seen by anybody; nothing else is promised here.
    assert rows[0]["auroc_step"] == 0.5 and rows[1]["auroc_step"] > 0.9
    assert rows[-1]["flash_bytes"][1] > rows[-1]["flash_bytes"][0]
