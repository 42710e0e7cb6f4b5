"""Searches with Optuna: what is tried, what chooses, what is stopped, and what is proven."""

import json
import math
import os
import re
import signal

import gymnasium
import pytest

from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.run.suite.cells import Outcome
from policy_distill.run.suite.grid import grid_of
from policy_distill.run.suite.grid_cells import CellTracking
from policy_distill.run.suite.search import DATABASE, UNPROVEN, TaskSearch
from policy_distill.run.suite.search_space import USUAL, space_of
from policy_distill.run.suite.search_suite import run_search
from policy_distill.seeds import BLOCK, PROOF
from policy_distill.system.interrupts import Interrupted
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import cartpole_teacher
from tests.run.suite.doubles import Told

optuna = pytest.importorskip("optuna")
SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "student": ["mlp:4", "mlp:8,8"]}


@pytest.fixture
def grid(tmp_path):
    (tmp_path / "teacher.zip").write_bytes(b"")
    return {"teachers": [{"path": str(tmp_path / "teacher.zip"), "env": "A-v0"}], "search": SPACE, "seeds": [5]}


def option(cell, name):
    return cell.words[cell.words.index(f"--{name}") + 1]


def score(cell):
    """How good a trial is: best at a learning rate of 1e-3."""
    return -abs(math.log10(float(option(cell, "learning-rate"))) + 3)


def judged(cell):
    cell.folder.mkdir(parents=True, exist_ok=True)
    (cell.folder / "evaluation.json").write_text(json.dumps({"selection": {"return": score(cell)}}))
    return 0


class Place:
    def __init__(self, outcome):
        self.backend = Told(outcome, jobs=2)

    def open(self):
        return self.backend


def test_the_trial_that_returns_most_where_students_are_chosen_is_proven(grid, tmp_path):
    place = Place(judged)
    result = run_search(grid, tmp_path / "out", 6, workplace=place)
    *trials, best = place.backend.started
    assert len(trials) == 6
    assert all(UNPROVEN in cell.words for cell in trials)
    assert UNPROVEN not in best.words
    assert {option(cell, "seed") for cell in trials} == {"5"}
    top = max(trials, key=score)
    assert [word for word in top.words if word != UNPROVEN] == list(best.words)
    found = result.search["teacher/A-v0"]
    assert found["states"] == {"complete": 6}
    assert found["best"]["selection_return"] == pytest.approx(score(top))
    assert result.ok
    again = Place(judged)
    run_search(grid, tmp_path / "out", 6, workplace=again, resume=True)
    assert again.backend.started == [], "all that was asked for is done"
    run_search(grid, tmp_path / "out", 8, workplace=again, resume=True)
    assert sum(UNPROVEN in cell.words for cell in again.backend.started) == 2


def test_a_search_goes_on_with_the_settings_that_it_was_begun_with(grid, tmp_path):
    run_search(grid, tmp_path / "out", 1, workplace=Place(judged))
    others = [{"distill": {"timesteps": 500}}, {"seeds": [6]}, {"search": {**SPACE, "student": ["mlp:4", "mlp:5"]}}]
    for other in others:
        with pytest.raises(RequestError, match="started with"):
            run_search({**grid, **other}, tmp_path / "out", 2, workplace=Place(judged), resume=True)
    found = run_search({**grid, **others[2]}, tmp_path / "out", 1, workplace=Place(judged), overwrite=True)
    assert found.ok


def test_a_better_trial_takes_the_place_of_the_best_of_an_earlier_call(grid, tmp_path):
    returns = iter([1.0, 2.0])

    def proven(cell):
        cell.folder.mkdir(parents=True, exist_ok=True)
        selection = {"selection": {"return": next(returns)}} if UNPROVEN in cell.words else {}
        (cell.folder / "evaluation.json").write_text(json.dumps(selection))
        return 0

    out = tmp_path / "out"
    run_search(grid, out, 1, workplace=Place(proven))
    result = run_search(grid, out, 2, workplace=Place(proven), resume=True)
    assert [one.cell.folder.name for one in result.outcomes] == ["best-0001"]
    assert [path.name for path in out.glob("teacher/*/best-*")] == ["best-0001"]
    assert list(out.glob(".trials/teacher/*/best-0000"))


def test_what_a_search_was_interrupted_in_is_replaced_with_it(grid, tmp_path):
    def interrupted(cell):
        if UNPROVEN in cell.words:
            return judged(cell)
        (cell.folder / "left").write_text("")
        os.kill(os.getpid(), signal.SIGTERM)
        return 130

    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run_search(grid, out, 1, workplace=Place(interrupted))
    assert list(out.glob("teacher/*/best-0000/left"))
    run_search({**grid, "seeds": [6]}, out, 1, workplace=Place(judged), overwrite=True)
    assert not list(out.glob("teacher/*/best-0000/left"))


def test_a_trial_that_fails_costs_the_search_nothing(grid, tmp_path):
    fails = iter([1, 1, 0, 0, 0])
    place = Place(lambda cell: 1 if UNPROVEN in cell.words and next(fails) else judged(cell))
    result = run_search(grid, tmp_path / "out", 4, workplace=place, retries=0)
    assert result.search["teacher/A-v0"]["states"] == {"fail": 2, "complete": 2}
    assert result.ok
    result = run_search(grid, tmp_path / "none", 2, workplace=Place(lambda cell: 1), retries=0)
    assert [one.reason for one in result.failed] == ["no trial came to an end"]


def searching(grid, out):
    out.mkdir(exist_ok=True)
    known = grid_of(grid)
    return TaskSearch(known, known.teachers[0], space_of(known.search), out, CellTracking())


def test_a_trial_of_a_search_that_was_stopped_goes_on(grid, tmp_path):
    search = searching(grid, tmp_path / "out")
    begun = search.next(3)
    search.take(Outcome(begun, "stopped"))
    again = searching(grid, tmp_path / "out")
    assert again.next(3) == begun
    assert again.next(3).folder != begun.folder
    assert (tmp_path / "out" / DATABASE).is_file()


def test_a_trial_that_falls_behind_the_median_is_stopped(grid, tmp_path):
    search = searching(grid, tmp_path / "out")

    def reports(cell, value):
        cell.folder.mkdir(parents=True)
        rows = [{"time/env_steps": 512, "eval/selection_return": value}, {"time/env_steps": 600, "train/loss": 0.1}]
        (cell.folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return search.unwanted([cell])

    for value in range(10, 16):
        cell = search.next(8)
        assert reports(cell, value) == [] or value < 13
        judged(cell)
        search.take(Outcome(cell, "done"))
    bad, good = search.next(8), search.next(8)
    assert reports(good, 20.0) == []
    assert reports(bad, 1.0) == [bad]
    search.take(Outcome(bad, "stopped"))
    assert search.study.trials[-2].state == optuna.trial.TrialState.PRUNED


class Seeds(gymnasium.Wrapper):
    seen = frozenset()

    def reset(self, *, seed=None, options=None):
        self.seen.add(seed)
        return self.env.reset(seed=seed, options=options)


def test_a_run_that_is_not_proven_plays_no_episode_of_the_proof_and_can_be_proven_later(tmp_path):
    settings = {"timesteps": 256, "n_envs": 2, "n_steps": 32, "n_epochs": 1, "eval_episodes": 4, "select_episodes": 3}

    def run(name, **others):
        Seeds.seen = set()
        make = lambda: Seeds(gymnasium.make("CartPole-v1", max_episode_steps=40))  # noqa: E731
        return distill(cartpole_teacher(), make, "mlp:4", out=tmp_path / name, **settings, **others)

    unproven = run("two", prove=False)
    assert not [seed for seed in Seeds.seen if seed is not None and PROOF <= seed < PROOF + BLOCK]
    assert unproven.retention is None
    record = json.loads((tmp_path / "two" / "evaluation.json").read_text())
    (*_, last) = read_metrics(tmp_path / "two" / "metrics.jsonl")
    assert record["selection"]["return"] == last["eval/selection_return"]
    assert record["retention"] is None
    run("two", resume=True)
    run("one")
    one, two = (json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("one", "two"))
    assert one["retention"] == two["retention"] is not None
    assert (tmp_path / "one" / "student.safetensors").read_bytes() == (
        tmp_path / "two" / "student.safetensors"
    ).read_bytes()


def test_the_usual_space_is_of_settings_that_can_be():
    space = space_of(None, students=("mlp:4", "mlp:8"))
    assert set(space.dimensions) == {*USUAL, "student"}
    trial = optuna.create_study().ask()
    suggested = space.suggest(trial)
    assert suggested["student"] in ("mlp:4", "mlp:8")
    assert isinstance(suggested["n_epochs"], int)


WRONG = {
    "lerning_rate": ({"lerning_rate": [1]}, "learning_rate"),
    "ends": ({"learning_rate": {"low": 1e-3}}, "expected low and high"),
    "order": ({"learning_rate": {"low": 1e-2, "high": 1e-3}}, "low < high"),
    "log and step": ({"n_epochs": {"low": 1, "high": 8, "log": True, "step": 2}}, "low < high"),
    "range": ({"n_epochs": {"low": 0, "high": 8}}, "n_epochs must be at least 1"),
    "choices": ({"n_epochs": []}, "a list to choose from"),
    "choice": ({"activation": ["tanh", "softsign"]}, "activation"),
    "student": ({"student": ["mpl:3"]}, "mpl:3"),
    "none": ({}, "settings"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_space_is_refused_in_one_line(name):
    value, found = WRONG[name]
    with pytest.raises(RequestError, match=re.escape(found)) as error:
        space_of(value)
    assert "\n" not in str(error.value)


def test_a_search_neither_compresses_nor_tunes(grid, tmp_path):
    with pytest.raises(RequestError, match="leave them out"):
        run_search({**grid, "finetune": {}}, tmp_path / "out", 3)
    with pytest.raises(RequestError, match="--trials"):
        run_search(grid, tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()
