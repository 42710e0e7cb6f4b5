from dataclasses import replace

import pytest

from policy_distill.evaluation.proof.headline import headline, ranks
from policy_distill.evaluation.proof.records import BeyondRecord, VerdictRecord
from policy_distill.evaluation.proof.words import assumption_words, next_step, pairing, verdict_words
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.system.records import load

VERDICT = {
    "outcome": "non-inferior",
    "margin": 0.05,
    "margin_return": 24.0,
    "alpha": 0.05,
    "floor": 1.1,
    "declared": False,
    "n_episodes": 80,
    "n_looks": 2,
    "beyond": None,
}
FALLS = {
    "teacher": {"n": 2, "n_episodes": 100, "rate": 0.02, "rate_high": 0.0616},
    "student": {"n": 0, "n_episodes": 100, "rate": 0.0, "rate_high": 0.02951},
}


WHOLE = load(VerdictRecord, VERDICT, "verdict")


def of(values):
    return EvaluationRecord.from_json(values)


def record(mean=0.99, low=0.96, iqm=1.0, chosen=0.98, **verdict):
    kept = {"mean": mean, "mean_low": low, "iqm": iqm, "ci95": [0.99, 1.01], "verdict": {**VERDICT, **verdict}}
    return of({"retention": kept, "falls": FALLS, "selection": {"return": 470.0, "retention": chosen}})


def old(iqm=1.0, mean=0.99, outcome="non-inferior"):
    """What versions before bounds, falls and selection figures wrote."""
    verdict = {"outcome": outcome, "margin": 0.05, "alpha": 0.05, "p_value": 0.01, "n_episodes": 100, "n_looks": 1}
    kept = {"iqm": iqm, "ci95": [0.99, 1.0], "mean": mean, "mean_ci95": [0.9, 1.0], "verdict": verdict}
    return of({"retention": kept})


def test_the_mean_and_its_bound_stand_first():
    first = headline(record())
    assert first.text() == "0.990, at least 0.960 (95%)"
    assert first.falls == "0 of 100 episodes lost more than half of the gain; fewer than 3.0% do (95%)"
    assert first.teacher_falls == "2 of 100 episodes lost more than half of the gain; fewer than 6.2% do (95%)"
    assert (first.iqm, first.margin_return, first.chosen_by) == (1.0, 24.0, 0.98)


def test_a_record_of_an_earlier_version_says_what_it_knows():
    first = headline(old())
    assert (first.text(), first.low, first.falls, first.chosen_by) == ("0.990", None, None, None)
    assert headline(of({"retention": {"mean": 0.5}})).text() == "0.500"


@pytest.mark.parametrize("evaluation", [{}, {"retention": None, "falls": None, "selection": None}])
def test_without_a_proof_nothing_is_said(evaluation):
    assert headline(of(evaluation)).text() == "not measured"
    assert headline(of(evaluation)).falls is None


def test_what_is_undefined_has_no_share_whatever_the_record_says():
    # The teacher scored below random: the sign of the ratio has turned, and the worse student has the larger one.
    first = headline(record(mean=1.9, iqm=2.006, chosen=2.0, outcome="undefined"))
    assert (first.mean, first.low, first.iqm, first.chosen_by) == (None, None, None, None)
    assert first.text() == "undefined: the teacher's returns are not clearly above random's"


def test_without_a_gain_there_is_no_half_of_it_to_lose():
    first = headline(record(outcome="undefined"))
    assert (first.falls, first.teacher_falls) == (None, None)


def test_students_rank_by_the_episodes_that_chose_them_and_not_by_their_proof():
    lucky, chosen = headline(record(mean=1.02, low=1.0, chosen=0.9)), headline(record(mean=0.97, low=0.94, chosen=0.99))
    undefined = headline(record(outcome="undefined"))
    assert ranks([lucky, chosen, undefined]) == [(0.9,), (0.99,), None]


def test_without_selection_figures_the_verdict_ranks_first_then_the_mean_and_never_the_iqm():
    falls, holds, unclear = old(1.0, 0.7, "inferior"), old(0.98, 0.97), old(1.1, 1.05, "undecided")
    figures = ranks([headline(one) for one in (falls, holds, unclear)])
    assert figures[1] > figures[2] > figures[0]
    # One that has a figure is not compared with one that has none.
    mixed = ranks([headline(record(mean=0.9, low=0.8, chosen=1.0)), headline(old(1.0, 0.97))])
    assert mixed[1] > mixed[0]


def test_a_verdict_says_its_margin_in_both_units_and_what_it_assumes():
    assert verdict_words(WHOLE) == (
        "non-inferior: as good as the teacher up to 5% of its gain, 24.00 of the return (one-sided, 5%), 80 episodes "
        "in 2 looks"
    )
    worst = "no episode loses more than 1.10 gains"
    assert assumption_words(WHOLE) == f"{worst} (a tenth more than the worst random one)"
    assert assumption_words(replace(WHOLE, declared=True)) == f"{worst} (as declared)"


def test_an_episode_beyond_the_floor_is_named_with_what_to_do():
    verdict = replace(WHOLE, outcome="undecided", beyond=BeyondRecord(17, 2.0))
    assert assumption_words(verdict, first_seed=1_000_000) == (
        "episode 17 (seed 1000017) lost 2.00 gains, more than the 1.10 that were assumed at most; compare on fresh "
        "episodes with what one may lose declared, such as --worst-loss 3"
    )


def test_inferior_rests_on_what_an_episode_may_win_and_not_on_what_one_lost():
    verdict = replace(WHOLE, outcome="inferior", beyond=BeyondRecord(17, 2.0))
    assert assumption_words(verdict) == "no episode wins more than 1.10 gains against the teacher's"
    assert "train for more steps" in next_step(verdict)


def test_the_verdict_of_an_earlier_version_is_said_without_what_it_did_not_assume():
    words = verdict_words(old().retention.verdict)
    assert words == "non-inferior: as good as the teacher up to 5% of its gain (one-sided, 5%), 100 episodes"
    assert assumption_words(old().retention.verdict) == ""
    undefined = replace(WHOLE, outcome="undefined", margin_return=None, floor=None)
    assert verdict_words(undefined).startswith("undefined: the teacher's mean return is not clearly above random's, 80")


def test_a_verdict_that_is_not_complete_is_not_put_in_words():
    assert verdict_words(VerdictRecord()) == verdict_words(replace(WHOLE, alpha=None)) == ""


def test_every_outcome_that_leaves_something_to_do_names_it():
    steps = {outcome: next_step(VerdictRecord(outcome=outcome)) for outcome in ("inferior", "undecided", "undefined")}
    assert "--timesteps" in steps["inferior"] and "--student" in steps["inferior"]
    assert "--until-certain" in steps["undecided"] and "--max-episodes" in steps["undecided"]
    assert steps["undefined"]
    assert next_step(WHOLE) == ""
    beyond = VerdictRecord(outcome="undecided", beyond=BeyondRecord(3, 2.0))
    assert next_step(beyond) == "", "the verdict says it itself"


def test_episodes_that_are_no_pairs_are_called_so():
    assert "not paired" in pairing(False)
    assert pairing(True) == pairing(None) == ""
