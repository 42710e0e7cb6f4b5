import json

import numpy as np
import pytest

from policy_distill.config import DistillConfig
from policy_distill.environments.open import open_environments
from policy_distill.errors import RequestError
from policy_distill.evaluation.proof.scale import Scale
from policy_distill.evaluation.proof.verdict import episodes_for_equal
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.losses.kl import forward_kl
from policy_distill.run.checkpoints.state import SessionState
from policy_distill.run.distill import distill
from policy_distill.run.judging.confirmation import BATCH, CHANCE, MOST, Confirmation, verdict_takes
from policy_distill.run.judging.selection import Selection, clearly_better
from policy_distill.run.judging.stopping import Looks, StoppingSelection, has_settled
from policy_distill.run.session import Session
from policy_distill.seeds import SELECTION
from policy_distill.system.interrupts import Interrupted
from policy_distill.system.records import dump
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher

EASY = {"timesteps": 6_400, "n_envs": 4, "n_steps": 16, "select_episodes": 4, "eval_episodes": 150}
SCALE = Scale(np.full(10, 100.0), np.zeros(10))


def easy(**settings):
    return distill(corridor_teacher(), Corridor, "mlp:4", **{**EASY, **settings})


def weights(result):
    return {name: array.tobytes() for name, array in result.student.tensors.items()}


def test_a_student_that_keeps_everything_ends_the_collection(tmp_path):
    result = easy(out=tmp_path / "run")
    assert result.evaluation["env_steps"] < EASY["timesteps"]
    assert result.retention.verdict.outcome == "non-inferior"
    stop = json.loads((tmp_path / "run" / "evaluation.json").read_text())["stop"]
    assert stop["reason"] == "kept"
    assert stop["env_steps"] == result.evaluation["env_steps"]
    assert stop["timesteps"] == EASY["timesteps"]
    assert stop["n_episodes"] >= BATCH
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "eval/stopped" in row]
    assert [row["eval/stopped"] for row in rows] == [0.0] * (len(rows) - 1) + [1.0]
    assert (rows[-1]["time/env_steps"], rows[-1]["eval/judged_steps"]) == (stop["env_steps"], stop["judged_steps"])
    assert EvaluationRecord.from_json(result.evaluation).stop == result.record.stop
    assert f"after {stop['env_steps']:,} of 6,400 steps" in str(result.record.stop)


def test_never_collects_the_whole_budget_and_says_nothing_of_a_stop():
    result = easy(stop="never")
    assert result.evaluation["env_steps"] == EASY["timesteps"]
    assert "stop" not in result.evaluation


def test_a_student_that_fails_uses_the_budget_up():
    # A line through the middle of the corridor, which a student without an input cannot draw.
    result = easy(timesteps=640, loss="reverse_kl", learning_rate=1e-9, stop="auto")
    stop = result.evaluation["stop"]
    assert (stop["reason"], stop["env_steps"], stop["n_episodes"]) == ("budget", 640, 0)


@pytest.mark.parametrize("settings", [{"select_episodes": 0}, {"eval_episodes": 0}, {"eval_episodes": 10}])
def test_nothing_stops_where_nothing_could_confirm_it(settings):
    assert easy(timesteps=1_280, **settings).evaluation["env_steps"] == 1_280


@pytest.mark.parametrize("settings", [{"actor": "mixed"}])
def test_courses_that_are_laid_out_over_the_budget_use_it_up(settings):
    result = easy(timesteps=1_280, **settings)
    assert result.config.stop == "never"
    assert result.evaluation["env_steps"] == 1_280


def test_another_word_for_when_to_stop_is_refused():
    with pytest.raises(RequestError, match="stop"):
        DistillConfig(stop="sometimes")


def test_the_same_seed_stops_at_the_same_step_with_the_same_student():
    one, other = easy(seed=3), easy(seed=3)
    assert one.record.stop == other.record.stop
    assert weights(one) == weights(other)


class Interrupting:
    """A policy's environment whose resets are counted; one of them is the last before the run is interrupted."""

    def __init__(self, at):
        self.at, self.n = at, 0

    def __call__(self):
        return _Counted(self)


class _Counted(Corridor):
    def __init__(self, counts):
        super().__init__()
        self.counts = counts

    def reset(self, *, seed=None, options=None):
        if seed is not None and SELECTION <= seed < SELECTION + 1_000:
            self.counts.n += 1
            if self.counts.n == self.counts.at:
                raise Interrupted("stopped in the middle of a judgement")
        return super().reset(seed=seed, options=options)


@pytest.mark.parametrize("at", [3, 14, 40, 90])
def test_a_run_that_is_interrupted_while_it_judges_goes_on_to_the_same_end(tmp_path, at):
    whole = distill(corridor_teacher(), Interrupting(0), "mlp:4", **EASY)
    counts = Interrupting(at)
    with pytest.raises(Interrupted):
        distill(corridor_teacher(), counts, "mlp:4", out=tmp_path / "run", **EASY)
    counts.at = 0
    result = distill(corridor_teacher(), counts, "mlp:4", out=tmp_path / "run", resume=True, **EASY)
    assert result.record.stop == whole.record.stop
    assert weights(result) == weights(whole)


def test_a_student_that_is_not_confirmed_goes_on_from_where_it_was(monkeypatch):
    config = DistillConfig(**{**EASY, "stop": "auto"})
    session = Session(corridor_teacher(), open_environments(Corridor, 4), "mlp:4", forward_kl, config)
    for _ in range(4):
        rollout = session.collect()
        session.learn(rollout, session.stream.label(rollout))
    selection = StoppingSelection(session, Corridor)
    selection.looks = Looks(n_kept=5)
    session.fresh = [1.0] * 12
    monkeypatch.setattr(Confirmation, "add", lambda self, *_: setattr(self, "over", True))
    before = session.learner.state()
    selection.judge()
    assert not session.stream.ended
    after = session.learner.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert selection.looks.n_seeds == EASY["select_episodes"]


def test_looks_take_no_more_steps_than_were_collected():
    session = Session(
        cartpole_teacher(), open_environments("CartPole-v1", 4), "mlp:4", forward_kl, DistillConfig(**EASY)
    )
    selection = StoppingSelection(session, "CartPole-v1")
    session.stream.env_steps = 1_000
    assert selection.due(0)
    selection.looks = Looks(n_steps=1_001)
    assert not selection.due(0)
    session.stream.env_steps = 6_400
    assert selection.due(0), "the last student is judged"


def confirmed(student, teacher, n_steps=10**9, n_episodes=300):
    """Return whether returns drawn in turns from lists are confirmed, and after how many episodes."""
    found = Confirmation(SCALE, n_steps, n_episodes)
    while not found.over:
        rows = np.arange(len(found.student), len(found.student) + found.n_more)
        found.add(np.take(student, rows, mode="wrap"), np.take(teacher, rows, mode="wrap"), 1_000)
    return found.confirmed, len(found.student)


def test_an_equal_student_is_confirmed_and_one_that_lacks_much_is_given_up_at_once():
    assert confirmed([100.0], [100.0])[0]
    assert confirmed([90.0, 91.0], [100.0]) == (False, BATCH)


def test_falls_that_two_looks_do_not_see_are_seen():
    falls = [100.0] * 19 + [0.0]
    assert not confirmed(falls, [100.0])[0]


def test_a_student_just_above_the_margin_does_not_end_a_run():
    assert not confirmed([96.0, 96.5], [100.0])[0]


def test_what_costs_more_than_it_may_save_is_not_played():
    assert confirmed([100.0], [100.0], n_steps=4_000) == (False, BATCH)
    assert confirmed([100.0], [100.0], n_episodes=BATCH - 1) == (False, 0)


def test_noise_that_no_verdict_would_see_through_is_not_played():
    noisy = np.array([100.0, -100.0] * 8)
    assert verdict_takes(noisy / 100, SCALE) == episodes_for_equal(SCALE)
    assert verdict_takes(noisy, SCALE) > MOST
    assert verdict_takes(np.full(8, 6.0), SCALE) == np.inf, "beyond the margin"


@pytest.mark.parametrize(
    ("fresh", "settled"),
    [([], False), ([1.0, 1.0], False), ([9.0, 1.0, 0.9], True), ([9.0, 1.0, 0.1], False), ([9.0, 0.02, 0.005], True)],
)
def test_a_divergence_has_settled_where_it_stopped_falling_or_is_nothing(fresh, settled):
    assert has_settled(fresh) is settled


@pytest.mark.parametrize("lie", [{"n_kept": -1}, {"next_at": 1.5}, {"teacher": [float("nan")]}, {"random": ["low"]}])
def test_a_checkpoint_that_lies_about_looks_is_refused(lie):
    with pytest.raises((ValueError, TypeError)):
        Looks.from_json({**Looks().to_json(), **lie})


def test_a_checkpoint_from_before_is_taken_up():
    config = DistillConfig(**{**EASY, "stop": "never", "passes": "fixed"})
    made = []
    for _ in range(2):
        session = Session(corridor_teacher(), open_environments(Corridor, 4), "mlp:4", forward_kl, config)
        made.append((session, SessionState(session, Selection(session, Corridor))))
    session, state = made[0]
    rollout = session.collect()
    session.learn(rollout, session.stream.label(rollout))
    tensors, kept = state.state()
    record = dump(kept)
    for name in ("effort", "fresh", "looks"):
        del record[name]
    made[1][1].restore(tensors, record)
    assert made[1][0].fresh == []
    assert made[1][0].stream.env_steps == session.stream.env_steps


@pytest.mark.parametrize(("gained", "kept"), [(1.0, "later"), (3.0, "earlier")])
def test_an_earlier_student_is_preferred_only_for_what_matters(gained, kept):
    session = Session(
        cartpole_teacher(), open_environments("CartPole-v1", 4), "mlp:4", forward_kl, DistillConfig(**EASY)
    )
    selection = StoppingSelection(session, "CartPole-v1")
    selection.looks = Looks(teacher=[110.0] * 4, random=[10.0] * 4)
    assert selection.matters == pytest.approx(2.0), "two hundredths of the gain"
    later = np.array([90.0, 95.0, 100.0, 105.0])
    assert clearly_better(later + gained, later)
    assert clearly_better(later + gained, later, matters=selection.matters) is (kept == "earlier")


def test_a_confirmation_takes_fewer_episodes_than_a_proof():
    confirmed_at = confirmed([100.0], [100.0])[1]
    assert confirmed_at < episodes_for_equal(SCALE)
    assert confirmed_at >= episodes_for_equal(SCALE, alpha=CHANCE)
