import logging

import numpy as np
import pytest

from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.evaluation.proof.spent import choose_seed, spent_by_student, spent_by_teacher
from policy_distill.seeds import PROOF, TEACHER_CHECKS, TEACHERS


def teacher(**provenance):
    one = PolicyDefaults()
    one.provenance = provenance
    return one


def student(**provenance):
    one = teacher(**provenance)
    one.metadata = {"provenance": provenance}
    return one


def test_by_itself_a_comparison_takes_the_first_block_that_nothing_has_used():
    assert choose_seed(None, 100, teacher(seed=0), student()) == PROOF
    proven = student(spent_seeds=[[PROOF, PROOF + 96], [2**30, 2**30 + 20]])
    assert choose_seed(None, 100, teacher(seed=0), proven) == 2 * PROOF
    again = student(spent_seeds=[[2 * PROOF, 2 * PROOF + 300]])
    assert choose_seed(None, 100, teacher(), proven, again) == 3 * PROOF


@pytest.mark.parametrize("seed", [PROOF, PROOF - 3, PROOF - TEACHER_CHECKS - 2, np.int64(PROOF)])
def test_a_teacher_that_began_in_a_block_is_not_proven_on_it(seed):
    assert choose_seed(None, 100, teacher(seed=seed), student()) == 2 * PROOF


def test_of_an_ensemble_the_seeds_of_all_members_are_spent():
    members = teacher(seed=None, members=[{"seed": 3}, {"members": [{"seed": PROOF + 7}]}])
    assert spent_by_teacher(members) == [(3, 3 + TEACHERS), (PROOF + 7, PROOF + 7 + TEACHERS)]
    assert choose_seed(None, 10, members, student()) == 2 * PROOF


def test_a_student_that_stands_in_for_the_teacher_has_spent_its_own():
    assert choose_seed(None, 10, student(spent_seeds=[[PROOF, PROOF + 5]]), student()) == 2 * PROOF


def test_a_student_from_before_that_record_has_spent_its_proof():
    old = student(config={"eval_seed": PROOF, "eval_episodes": 100})
    assert spent_by_student(old) == [(PROOF, PROOF + 100)]
    assert choose_seed(None, 10, teacher(), old) == 2 * PROOF


@pytest.mark.parametrize("spans", [[None], [[1]], ["ab"], [["a", 2]], [[1, None]]])
def test_a_record_that_says_something_else_spends_nothing(spans):
    assert spent_by_student(student(spent_seeds=spans)) == []
    assert spent_by_teacher(teacher(seed="7", members="none")) == []


def test_a_seed_that_is_told_is_taken_and_what_it_meets_is_said(caplog):
    used = student(spent_seeds=[[50, 60]])
    with caplog.at_level(logging.WARNING):
        assert choose_seed(60, 100, teacher(seed=500_000), used) == 60
        assert not caplog.records
        assert choose_seed(55, 100, teacher(seed=500_000), used) == 55
    assert "episodes 55 to 59 chose or proved this student before" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert choose_seed(0, 20, teacher(seed=8), used) == 0
    assert "episodes 8 to 19 may be among those that the teacher was trained from" in caplog.text
