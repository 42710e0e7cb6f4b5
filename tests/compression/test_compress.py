"""A compression from end to end, on tasks of a second."""

import dataclasses
import json
import math

import gymnasium
import numpy as np
import pytest

import policy_distill
from policy_distill.compression import border, retrain
from policy_distill.compression.border import Finalist
from policy_distill.compression.candidates import Candidate
from policy_distill.compression.compress import compress
from policy_distill.compression.front import Point, front_of
from policy_distill.compression.judge import Kept
from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.front_record import CompressionRecord
from policy_distill.evaluation.reference import Player
from policy_distill.student.runtime import load_student
from tests.doubles import Corridor, FormulaTeacher, cartpole_teacher, corridor_teacher, pendulum_teacher

QUICK = {"timesteps": 512, "n_steps": 16, "n_envs": 4, "eval_episodes": 200}
"""Of the corridor, whose episodes are ten steps."""
SHORT = {"timesteps": 2000, "n_steps": 64, "eval_episodes": 200, "max_episode_steps": 60}
"""Of CartPole."""
STUDENTS = ["linear", "mlp:2", "mlp:8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A compression of CartPole: its folder, its result, and what it said."""
    out, said = tmp_path_factory.mktemp("runs") / "small", []
    found = compress(cartpole_teacher(), "CartPole-v1", students=STUDENTS, out=out, say=said.append, **SHORT)
    return out, found, said


def test_the_winner_is_proven_and_no_smaller_one_is(run):
    _, found, _ = run
    assert found.proven
    assert found.result.retention.verdict.outcome == "non-inferior"
    assert found.result.retention.mean_low >= 0.95
    winner = found.record.best
    smaller = [point for point in found.record.front if point.n_params < winner.n_params]
    assert not any(point.proven for point in smaller)
    assert found.student.n_params == winner.n_params < 100


def test_the_folder_holds_the_winner_the_front_and_their_record(run):
    out, found, _ = run
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "metrics.jsonl", "student.safetensors", "evaluation.json", "report.html"} <= names
    written = json.loads((out / "compression.json").read_text())
    assert written == found.compression == CompressionRecord.from_json(written).to_json()
    contract = {"bar", "minimize", "winner", "front", "env_steps", "wall_seconds", "cost_of_one"}
    assert contract <= set(written)
    fields = {"spec", "n_params", "n_bytes", "macs", "retention", "falls", "verdict", "tested", "env_steps"}
    assert all(fields <= set(point) for point in written["front"])
    assert {path.name for path in (out / "students").iterdir()} == {point["spec"] for point in written["front"]}
    alone = written["cost_of_one"]
    assert 0 < alone < written["wall_seconds"]
    assert json.loads((out / "evaluation.json").read_text())["retention"]["verdict"]["outcome"] == written["verdict"]


def test_every_student_is_accounted_for_once(run):
    record = run[1].record
    named = [one.spec for part in (record.front, record.beaten, record.dropped) for one in part]
    assert set(STUDENTS) <= set(named)
    assert len(named) == len(set(named))


def test_each_student_on_the_front_loads_and_acts(run):
    out, found, _ = run
    for point in found.front:
        student = load_student(out / "students" / point.spec / "student.safetensors")
        assert student.n_params == point.record().n_params
        assert student.act(np.zeros(4, np.float32)) in (0, 1)
        tested = student.metadata["retention"]
        assert (tested is not None) == point.record().tested
    winner = load_student(out / "student.safetensors").metadata
    assert winner["retention"]["verdict"]["outcome"] == "non-inferior"
    assert winner["provenance"]["spent_seeds"], "a later comparison keeps away from what chose and proved it"


def test_what_is_dropped_judged_and_proven_is_said_in_lines(run):
    _, found, said = run
    assert all("\n" not in line for line in said)
    assert any(line.startswith(f"once more: {found.record.winner} keeps") for line in said)


def test_a_run_that_is_resumed_at_its_end_finds_the_same(run):
    out, found, _ = run
    before = (out / "student.safetensors").read_bytes()
    (out / "compression.json").unlink()
    again = compress(cartpole_teacher(), "CartPole-v1", students=STUDENTS, out=out, resume=True, **SHORT)
    assert (out / "student.safetensors").read_bytes() == before
    timed = {"seconds": None, "wall_seconds": None, "cost_of_one": None}
    assert dataclasses.replace(again.record, **timed) == dataclasses.replace(found.record, **timed)


def test_overwriting_leaves_no_student_of_the_run_before(tmp_path):
    out = tmp_path / "run"
    (out / "students" / "mlp:64").mkdir(parents=True)
    (out / "compression.json").write_text("{}")
    with pytest.raises(RequestError, match="empty --out"):
        compress(corridor_teacher(), Corridor, students=["linear"], out=out, **QUICK)
    found = compress(corridor_teacher(), Corridor, students=["linear"], out=out, overwrite=True, **QUICK)
    assert [path.name for path in (out / "students").iterdir()] == [point.spec for point in found.front] == ["linear"]


def test_a_bar_that_few_episodes_cannot_prove_is_no_claim_but_an_advice(tmp_path):
    # An exact copy of the teacher would not do either: so few episodes do not bound its loss by a thousandth.
    few = {**QUICK, "eval_episodes": 20}
    found = compress(corridor_teacher(), Corridor, 0.999, ["linear", "mlp:2"], out=tmp_path / "run", **few)
    record = found.record
    assert not found.proven
    assert record.verdict in ("undecided", "inferior")
    assert record.advice.startswith("give")
    assert record.winner in {point.spec for point in record.front}
    assert not any(point.proven for point in record.front)
    assert (tmp_path / "run" / "student.safetensors").exists()


def test_where_the_teacher_gains_nothing_there_is_nothing_to_keep():
    short = {"timesteps": 400, "n_steps": 25, "n_envs": 4, "eval_episodes": 10, "max_episode_steps": 10}
    worse = pendulum_teacher()
    worse.weight *= 0
    found = compress(worse, "Pendulum-v1", students=["linear"], **short)
    assert (found.proven, found.record.verdict) == (False, "undefined")
    assert "no share" in found.record.advice
    json.dumps(found.compression, allow_nan=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"minimize": "weight"}, "expected --minimize among params, bytes, macs, flash, latency, found 'weight'"),
        ({"retention": 1.5}, "retention"),
        ({"retention": 1.0}, "--retention above 0 and below 1, found 1; 0.95 is usual"),
        ({"max_params": 2}, "the smallest, linear, has 3 parameters"),
        ({"budget": 0}, "--budget of at least 1"),
        ({"eval_episodes": 0}, "--eval-episodes above 0"),
        ({"students": ["spider:8"]}, "spider"),
    ],
)
def test_what_cannot_be_met_is_refused_before_the_first_step(settings, words, tmp_path):
    with pytest.raises(RequestError, match=words):
        compress(corridor_teacher(), Corridor, **{"students": ["linear"], **QUICK, **settings}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_limits_leave_out_what_is_too_large():
    found = compress(corridor_teacher(), Corridor, students=STUDENTS, max_params=10, **QUICK)
    assert all(point.record().n_params <= 10 for point in found.front)
    named = {one.spec for part in (found.record.front, found.record.beaten) for one in part}
    assert "mlp:8" not in named


def test_a_budget_holds_collecting_to_its_half():
    found = compress(corridor_teacher(), Corridor, students=["linear"], budget=600, **QUICK)
    assert found.record.env_steps_of["collect"] <= 300 + 4


def point(cost, share):
    candidate = Candidate(f"mlp:{cost}", cost, 4 * cost, cost, float(cost))
    return Point(Finalist(candidate, None, None, Kept(share, 0.01, 20, 0, promise=1.0), 100), None)


@pytest.mark.parametrize(("budget", "gathered"), [(None, 256), (1_400, 188), (1_024, 0)])
def test_what_the_border_gathers_stays_within_the_half_of_a_budget(monkeypatch, budget, gathered):
    # Else the smallest of all, which is sure to be proven, leaves nothing to gather for.
    monkeypatch.setattr(border, "SURE", math.inf)
    settings = {**QUICK, "timesteps": 512, "n_envs": 4, "budget": budget}
    found = compress(corridor_teacher(), Corridor, students=["linear"], **settings)
    assert found.record.env_steps_of["collect"] == 512 + gathered


def test_the_front_is_what_no_other_beats_and_the_winner():
    points = [point(3, 0.9), point(1, 0.5), point(2, 0.95), point(4, 0.99), point(5, 0.8)]
    assert [one.spec for one in front_of(points, "mlp:4")] == ["mlp:1", "mlp:2", "mlp:4"]
    assert [one.spec for one in front_of(points, "mlp:5")] == ["mlp:1", "mlp:2", "mlp:4", "mlp:5"]
    assert [one.spec for one in front_of([point(1, math.nan)], "mlp:1")] == ["mlp:1"]


def test_a_user_finds_it_beside_distill():
    assert policy_distill.compress is compress


class Framed(gymnasium.ObservationWrapper):
    """A corridor with a picture beside the numbers."""

    def __init__(self):
        super().__init__(Corridor())
        picture = gymnasium.spaces.Box(0, 255, (8, 8, 1), np.uint8)
        self.observation_space = gymnasium.spaces.Dict(numbers=self.env.observation_space, picture=picture)

    def observation(self, observation):
        return {"numbers": observation, "picture": np.zeros((8, 8, 1), np.uint8)}


class SeesNumbers(FormulaTeacher):
    """Looks at the numbers alone."""

    def label(self, obs, episode_starts, state=None, action_masks=None):
        return super().label(obs["numbers"], episode_starts, state)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        actions = self.action_map.execute(self.family.mode(self.label(observation, None).params).numpy())
        return actions, state


def test_the_ladder_is_for_what_students_see_and_not_for_what_the_teacher_does():
    corridor = corridor_teacher()
    teacher = SeesNumbers(Framed().observation_space, corridor.action_space, corridor.weight.tolist())
    found = compress(teacher, Framed, observe="numbers", max_params=10, **QUICK)
    assert found.record.winner == "linear"


def test_one_network_by_its_name_is_one_network():
    for students in ("mlp:2", ["mlp:02", "mlp:2"]):
        found = compress(corridor_teacher(), Corridor, students=students, **QUICK)
        assert found.record.winner == "mlp:2"
        assert len(found.record.front) + len(found.record.beaten) + len(found.record.dropped) == 1


def test_what_a_budget_did_not_reach_is_not_said_to_miss_the_bar():
    found = compress(corridor_teacher(), Corridor, students=STUDENTS, budget=1, **QUICK)
    assert {one.spec: one.why for one in found.record.dropped} == dict.fromkeys(
        ("linear", "mlp:2"), "the budget was used up"
    )


def test_a_teacher_worse_than_random_is_said_in_words_and_no_numbers():
    worse, said = corridor_teacher(), []
    worse.weight *= -1
    found = compress(worse, Corridor, students=["linear", "mlp:2", "mlp:4", "mlp:8"], say=said.append, **QUICK)
    assert (found.proven, found.record.verdict) == (False, "undefined")
    assert len([line for line in said if "gains nothing" in line]) == 1
    assert not any("nan" in line for line in said)


def test_steps_that_only_rank_starts_are_counted_as_choosing(monkeypatch):
    counted, real = [], retrain.sample_states

    def counting(*args, **options):
        sample = real(*args, **options)
        counted.append(sample.n_steps)
        return sample

    settings = {"students": ["linear"], "max_episode_steps": 10, **QUICK}
    monkeypatch.setattr(retrain, "sample_states", counting)
    # Else the smallest of all, which is sure to be proven, leaves nothing to rank.
    monkeypatch.setattr(border, "SURE", math.inf)
    found = compress(corridor_teacher(), Corridor, **settings)
    assert counted
    assert found.record.env_steps_of["choose"] > sum(counted)


def test_the_teacher_does_not_act_by_sampling_beside_a_proof(monkeypatch):
    played, real = set(), Player.play

    def noting(self, who, *args):
        played.add(who)
        return real(self, who, *args)

    monkeypatch.setattr(Player, "play", noting)
    monkeypatch.setattr("policy_distill.evaluation.reference.has_idle_core", lambda: False)
    compress(corridor_teacher(), Corridor, students=["linear"], **QUICK)
    assert played == {"teacher", "random", "student"}
