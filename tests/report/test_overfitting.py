"""The chart of the loss on held-out states against that on the states that are learnt from."""

import pytest

from policy_distill.report.imitation_charts import overfitting_chart, overfitting_words
from policy_distill.report.read_run import RunRecord
from policy_distill.tracking.settings import RunSettings


def run_of(rows, **config):
    settings = RunSettings(env_id="A-v0", config={"loss": "auto", **config}, others={})
    metrics = [{"time/env_steps": 100 * (i + 1), **row} for i, row in enumerate(rows)]
    return RunRecord(None, settings, metrics, None, None, {}, None)


def rows(held, n=12, name="train/heldout_loss"):
    return [{"train/loss": 0.1, name: held} for _ in range(n)]


@pytest.mark.parametrize(("held", "words"), [(0.11, "no over-fitting to be seen"), (0.3, "3.00 times the other")])
def test_the_sentence_follows_the_ratio_of_the_last_third(held, words):
    # What was before the last third says nothing.
    early = rows(0.9, 8) if held < 0.2 else rows(0.1, 8)
    assert words in overfitting_words(run_of([*early, *rows(held, 4)]))


def test_few_rollouts_say_nothing():
    assert "nothing can be said" in overfitting_words(run_of(rows(0.3, 9)))


def test_both_curves_are_drawn():
    chart = overfitting_chart(run_of(rows(0.3)))
    assert {row["who"] for row in chart.spec["data"]["values"]} == {"learnt from", "held out"}
    assert len(chart.spec["data"]["values"]) == 24


def test_without_held_out_states_rollouts_before_they_are_learnt_from_stand_in_where_the_unit_is_the_same():
    kl = rows(0.3, name="train/kl")
    assert "3.00 times" in overfitting_words(run_of(kl))
    assert overfitting_chart(run_of(kl, loss="mse")) is None
    assert overfitting_chart(run_of([{"train/loss": 0.1}])) is None
