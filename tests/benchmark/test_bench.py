import json
import time

import pytest

from policy_distill.benchmark.cold_start import sb3_start, student_start
from policy_distill.benchmark.contenders import sb3_contender, student_contenders
from policy_distill.benchmark.timing import time_in_turn
from policy_distill.cli import main
from policy_distill.student.runtime import Student
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import cartpole_teacher
from tests.students import KINDS, make_student, name_of, one_of, sample_observations
from tests.test_cli import teacher  # noqa: F401 - a fixture
from tests.training.test_policy import make_policy


def test_calls_are_timed_in_turn_and_the_clock_is_taken_off():
    order = []

    def quick():
        order.append("quick")

    def slow():
        order.append("slow")
        time.sleep(0.003)

    found = time_in_turn({"quick": quick, "slow": slow}, rounds=4, singles=5)
    assert found["slow"].median_us >= 3000
    assert found["quick"].median_us < found["slow"].median_us
    assert found["slow"].p99_us >= 3000
    turns = [name for name, before in zip(order, [None, *order], strict=False) if name != before]
    assert turns[-4:] == ["quick", "slow", "quick", "slow"]


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_every_contender_acts_on_every_kind_of_student(kind):
    student = make_student(kind)
    obs = sample_observations(kind, 4)
    contenders = student_contenders(student, 1)
    assert {"numpy", "torch", "onnx"} <= {c.name for c in contenders}
    sb3 = sb3_contender(student)
    # SB3 refuses discrete observations, actions without bounds and, of a student that is more than a perceptron and so
    # handed over as it is, choices that start elsewhere than at 0; and every tree.
    elsewhere = kind[1] == "offset" and not student.plan.is_perceptron
    assert (sb3 is None) == (kind[1] == "deterministic_free" or kind[0] == "discrete" or elsewhere or "tree" in kind[2])
    for contender in [*contenders, *([] if sb3 is None else [sb3[0]])]:
        assert len(contender.predict(obs)[0]) == 4
        contender.act(one_of(obs, 0))


@pytest.mark.parametrize(("network", "theirs"), [("gru:8", "RecurrentActorCriticPolicy"), ("history:3+mlp:8", None)])
def test_a_student_that_remembers_is_set_beside_a_recurrent_policy_of_its_units(network, theirs):
    kind = ("vector", "gaussian", network, "tanh")
    student, obs = make_student(kind), sample_observations(kind, 4)
    contenders, sb3 = student_contenders(student, 1), sb3_contender(student)
    assert {"numpy", "torch", "onnx"} <= {c.name for c in contenders}
    if theirs is None:
        assert sb3 is None
    else:
        assert type(sb3[1].policy).__name__ == theirs and sb3[1].policy.lstm_actor.hidden_size == 8
    for contender in [*contenders, *([] if sb3 is None else [sb3[0]])]:
        for _ in range(2):
            assert len(contender.predict(obs)) == 4
            contender.act(one_of(obs, 0))


def test_a_new_process_is_timed_and_its_memory_read(tmp_path):
    student = make_student(KINDS[0])
    path = student.save(tmp_path / "student.safetensors")
    one = sample_observations(KINDS[0], 1)[0]
    ours = student_start(path, "numpy", one, 1)
    assert ours.seconds > 0
    assert 10 < ours.megabytes < 200
    theirs = sb3_start(sb3_contender(student)[1], one, 1)
    assert theirs.megabytes > 2 * ours.megabytes


def test_the_command_prints_one_record_draws_and_logs_the_latency(teacher, tmp_path, capfd):  # noqa: F811
    path = Student.of(make_policy(cartpole_teacher()).to_record({"env_id": "CartPole-v1"})).save(
        tmp_path / "student.safetensors"
    )
    (tmp_path / "metrics.jsonl").write_text(
        '{"time/env_steps": 512, "train/loss": 0.5}\n{"time/env_steps": 512, "eval/retention": 0.9}\n'
    )
    arguments = ["bench", str(path), "--teacher", str(teacher), "--rounds", "2", "--cold-starts", "0"]
    plot = tmp_path / "plots" / "bench.svg"
    assert main([*arguments, "--json", "--plot", str(plot)]) == 0
    record = json.loads(capfd.readouterr().out)
    rows = {row["name"]: row for row in record["rows"]}
    assert {"numpy", "native", "torch", "onnx", "SB3, student's size", "SB3, teacher"} == set(rows)
    for row in rows.values():
        assert row["act_us"] > 0
        assert row["act_p99_us"] > 0
        assert set(row["batches"]) == {"8", "256", "4096"}
        base = rows["SB3, student's size"]["predict_us"]
        assert row["act_ratio"] == pytest.approx(base / row["act_us"])
    assert rows["numpy"]["bytes"] == path.stat().st_size
    assert b"<svg" in plot.read_bytes()
    logged = read_metrics(tmp_path / "metrics.jsonl")
    assert logged[0]["train/loss"] == 0.5
    assert logged[1]["eval/retention"] == 0.9, "the proof stays"
    assert logged[-1] == {
        "time/env_steps": 512,
        "model/latency_us": min(rows["numpy"]["act_us"], rows["native"]["act_us"]),
    }
    assert main(arguments) == 0
    assert "cold start" in capfd.readouterr().out
    assert main([*arguments, "--plot", str(tmp_path / "bench.mp3")]) == 2
    assert "bench.svg" in capfd.readouterr().err
