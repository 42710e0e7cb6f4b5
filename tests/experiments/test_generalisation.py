"""The experiment on where students beat their teachers."""

import json

import numpy as np
import pytest

from experiments import generalisation
from experiments.generalisation import Config, main
from experiments.generalisation_table import METHODS, Found, counts_of, differences_of, markdown, rows_of, totals_of
from policy_distill.errors import RequestError
from policy_distill.student.runtime import load_student
from policy_distill.teachers.load import load_teacher
from tests.wandb_reader import read_run


def found(world, shifts, n=200):
    """Return what three seeds of each method scored: `shifts` more than the teacher, by the name of the method."""
    rng = np.random.default_rng(3)
    teacher = 100 + rng.normal(0, 5, n)
    returns = {"teacher": teacher.tolist(), "random": rng.normal(0, 5, n).tolist()}
    for method in METHODS:
        for seed in range(3):
            luck = rng.normal(0, 5, n) + rng.normal(0, 4)
            returns[f"{method} {seed}"] = (teacher + shifts[method] + luck).tolist()
    return Found("Lander-v3", "mlp:8", world, returns, 0)


def test_a_word_stands_where_the_whole_interval_lies_on_one_side():
    cells = [found("none", dict.fromkeys(METHODS, 0)), found("windy", {"plain": -40, "perturbed": 40, "ensemble": 0})]
    same, windy = rows_of(cells)
    assert not any("better" in cell or "worse" in cell for cell in same[4:])
    assert windy[4].endswith("] worse") and windy[5].endswith("] better") and windy[6].endswith("]")
    # The environment as it is counts in no total.
    assert [line.split(":")[0] for line in totals_of(cells)] == list(METHODS)
    assert totals_of(cells)[1].endswith("over 1 worlds") and "1.4" in totals_of(cells)[1]
    assert counts_of(cells) == [
        "plain: better in 0, worse in 1 of 1",
        "perturbed: better in 1, worse in 0 of 1",
        "ensemble: better in 0, worse in 0 of 1",
    ]
    page = markdown(cells, "lander", 30_000, 200)
    assert (
        page.startswith("## Generalisation\n")
        and "--task lander`" in page
        and "30,000 steps" in page
        and "| windy | 100." in page
    )


def test_methods_are_set_beside_plain_on_the_same_seeds_and_episodes():
    cells = [found(world, {"plain": -40, "perturbed": 40, "ensemble": -40}) for world in ("none", "windy", "icy")]
    (harder, same) = differences_of(cells, METHODS)
    assert harder.startswith("perturbed: 0.8") and harder.endswith("over 2 worlds")
    assert same.startswith("ensemble: ") and abs(float(same.split()[1])) < 0.1
    # A world that a method was not tried in counts for neither.
    del cells[1].returns["perturbed 0"], cells[1].returns["perturbed 1"], cells[1].returns["perturbed 2"]
    assert differences_of(cells, METHODS)[0].endswith("over 1 worlds")
    mean = np.mean(cells[2].returns["perturbed 1"]) - np.mean(cells[2].returns["plain 1"])
    gain = np.mean(cells[2].returns["teacher"]) - np.mean(cells[2].returns["random"])
    assert cells[2].beside("perturbed", "plain").runs[1].kept == pytest.approx(mean / gain)
    page = markdown(cells, "lander", 30_000, 200, ("plain", "ensemble"))
    assert "More than plain, on the same seeds and episodes: ensemble: " in page
    assert "More than plain" not in markdown(cells, "lander", 30_000, 200)


def test_the_experiment_goes_on_where_it_was_stopped_and_writes_its_section(zoo, tmp_path, monkeypatch):
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Other\n\nstays\n")
    small = {"task": ("cartpole",), "seeds": (0, 1), "timesteps": 1024, "episodes": 3}
    config = Config(zoo, **small, out=tmp_path / "runs", results=results)
    main(config)
    first = results.read_text()
    assert "## Other\n\nstays" in first and "| CartPole-v1 | mlp:8 | sticky:0.5 |" in first
    kept = json.loads((tmp_path / "runs" / "cartpole" / "returns.json").read_text())
    assert next(iter(kept)) == "none" and "CartPoleLongPole-v1" in kept and "delay:2" in kept
    assert set(kept["none"]) == {"teacher", "random", *(f"{method} {seed}" for method in METHODS for seed in (0, 1))}
    student = load_student(tmp_path / "runs" / "cartpole" / "ensemble-1" / "student.safetensors")
    assert len(student.provenance["teacher"]["members"]) == 5
    hardened = load_student(tmp_path / "runs" / "cartpole" / "perturbed-0" / "student.safetensors")
    assert hardened.provenance["config"]["collect_perturb"] == generalisation.COLLECTED
    # Nothing is made or judged again.
    monkeypatch.setattr(generalisation, "distill", None)
    monkeypatch.setattr(generalisation, "scores", None)
    main(config)
    assert results.read_text() == first


def test_an_unknown_task_is_refused(tmp_path):
    with pytest.raises(RequestError, match="found 'chess'"):
        main(Config(tmp_path, task=("chess",), out=tmp_path, results=tmp_path / "R.md"))


def test_other_methods_have_a_section_of_their_own_and_none_where_actions_are_no_choices(zoo, tmp_path):
    results = tmp_path / "RESULTS.md"
    results.write_text("## Generalisation\n\nstays\n")
    small = {"task": ("pendulum",), "seeds": (0,), "timesteps": 1024, "episodes": 2, "method": ("plain", "smoothed")}
    main(Config(zoo, **small, out=tmp_path / "runs", results=results))
    page = results.read_text()
    assert page.startswith("## Generalisation\n\nstays\n")
    assert "## What widens what a student can bear: plain, smoothed\n" in page
    assert "--method plain smoothed --timesteps 1024 --episodes 2`" in page
    # A temperature softens choices alone.
    assert "smoothed: better in 0, worse in 0 of 0" in page
    with pytest.raises(RequestError, match="expected --method among"):
        main(Config(zoo, **{**small, "method": ("louder",)}, out=tmp_path / "runs", results=results))


def test_every_student_is_tracked_in_one_group_where_that_is_asked_for(zoo, tmp_path):
    small = {"task": ("cartpole",), "seeds": (0, 1), "timesteps": 512, "method": ("plain",), "track": "offline"}
    config = Config(zoo, **small, out=tmp_path / "runs")
    students = generalisation.students_of(config, "cartpole", load_teacher(zoo / "ars-CartPole-v1"), "CartPole-v1")
    assert list(students) == ["plain 0", "plain 1"]
    runs = [tmp_path / "runs" / "cartpole" / f"plain-{seed}" for seed in (0, 1)]
    assert [read_run(run / "wandb")["run"].run_group for run in runs] == ["generalisation"] * 2
