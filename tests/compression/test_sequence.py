"""The proof of a choice: what is claimed is what was proven, on episodes that nobody has used."""

from types import SimpleNamespace

import pytest

from policy_distill.compression import sequence
from policy_distill.compression.border import Finalist
from policy_distill.compression.candidates import Candidate
from policy_distill.compression.front import points_of
from policy_distill.compression.judge import Kept
from policy_distill.compression.sequence import FixedSequence
from policy_distill.compression.verdict import _winner
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.seeds import BLOCK, PROOF

N = 40
"""Episodes of each test."""


def finalist(cost):
    candidate = Candidate(f"mlp:{cost}", cost, 4 * cost, cost, float(cost))
    return Finalist(candidate, SimpleNamespace(spec=candidate.spec), None, Kept(1.0, 0.01, 20, 0, promise=2.0), 100)


def prove(monkeypatch, outcomes, teacher_seed=None):
    """Return the winner, its outcome, the tests, and the seeds they began from; `outcomes` by student, one a test."""
    order, begun = [finalist(cost) for cost in (8, 4, 2)], []

    def compare(teacher, student, env, plan, **_):
        begun.append((student.spec, plan.seed))
        kept = SimpleNamespace(
            mean=1.0, mean_low=0.9, n_episodes=N, verdict=SimpleNamespace(outcome=outcomes[student.spec].pop(0))
        )
        return SimpleNamespace(retention=kept, student=SimpleNamespace(n_episodes=N))

    monkeypatch.setattr(sequence, "compare_policies", compare)
    monkeypatch.setattr(sequence, "ReferenceRuns", lambda *_, **limits: limits)
    teacher = SimpleNamespace(metadata={}, provenance={"seed": teacher_seed})
    reference = SimpleNamespace(result=None)
    tests = FixedSequence(teacher, None, ProofPlan(N, PROOF), reference, None)
    passed = tests.run(order, lambda finalist, found: None)
    winner, found = _winner(SimpleNamespace(say=lambda line: None), tests, order, passed)
    return winner.candidate.spec, found.retention.verdict.outcome, tests, begun, order


def test_who_fails_once_more_is_proven_nowhere_and_a_larger_one_wins(monkeypatch):
    outcomes = {
        "mlp:8": ["non-inferior"],
        "mlp:4": ["non-inferior", "non-inferior"],
        "mlp:2": ["non-inferior", "inferior"],
    }
    winner, outcome, tests, begun, order = prove(monkeypatch, outcomes)
    assert (winner, outcome) == ("mlp:4", "non-inferior")
    assert [point.spec for point in points_of(order, tests.found) if point.proven] == ["mlp:8", "mlp:4"]
    assert begun[3:] == [("mlp:2", PROOF + BLOCK), ("mlp:4", PROOF + 2 * BLOCK)]


def test_where_all_fail_once_more_nothing_is_claimed(monkeypatch):
    outcomes = {spec: ["non-inferior", "undecided"] for spec in ("mlp:8", "mlp:4", "mlp:2")}
    winner, outcome, tests, _, order = prove(monkeypatch, outcomes)
    assert (winner, outcome) == ("mlp:8", "undecided")
    assert not any(point.proven for point in points_of(order, tests.found))


@pytest.mark.parametrize(("seed", "start"), [(None, 2), (PROOF + BLOCK - 7, 3), (PROOF + BLOCK + 20, 3)])
def test_the_second_proof_keeps_away_from_what_the_teacher_was_trained_on(monkeypatch, seed, start):
    outcomes = {"mlp:8": ["non-inferior", "non-inferior"], "mlp:4": ["undecided"]}
    _, _, tests, begun, _ = prove(monkeypatch, outcomes, seed)
    assert begun[-1] == ("mlp:8", start * BLOCK)
    assert tests.spent == [[PROOF, PROOF + N]] * 2 + [[start * BLOCK, start * BLOCK + N]]
