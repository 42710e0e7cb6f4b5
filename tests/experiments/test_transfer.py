"""The experiment on what a student is worth in another task."""

import pytest

from experiments import transfer
from experiments.transfer import Config, Task, main
from experiments.transfer_table import Curve, Pair, difference, fewer, markdown, words_of
from policy_distill.errors import RequestError
from tests.wandb_reader import read_run


def curve(*values):
    """Return a curve with a look every 100 steps."""
    return Curve(tuple((100 * i, value) for i, value in enumerate(values)), 100 * (len(values) - 1))


def pair(transferred, scratch, seed=0):
    return Pair("swing", "A-v0", "B-v0", "mlp:8", seed, curve(*transferred), curve(*scratch))


def test_steps_are_counted_to_90_percent_of_what_the_other_gains():
    one = pair((50.0, 80.0, 95.0), (0.0, 40.0, 100.0))
    assert one.level == 90.0
    assert one.steps == (200, 200)
    assert one.transferred.area == pytest.approx((65.0 + 87.5) / 2)
    assert "| mlp:8 | 200 | 0 | 50.0 | 0.0 | 200 | 200 |" in f"| {' | '.join(one.row())} |"


def test_who_is_there_at_once_needs_at_most_a_look_and_who_never_comes_has_no_ratio():
    at_once, quick = pair((95.0, 95.0), (0.0, 100.0)), pair((0.0, 95.0, 95.0), (0.0, 10.0, 100.0))
    assert fewer([at_once]) == (1.0, True)
    assert fewer([quick]) == (2.0, False)
    assert fewer([at_once, quick]) == (pytest.approx(2.0**0.5), True)
    never = pair((0.0, 10.0), (0.0, 100.0))
    assert fewer([quick, never]) == (None, False)
    assert "1 of 2 transferred students do not come to that level" in words_of([quick, never])


def test_differences_have_an_interval_over_seeds():
    pairs = [pair((0.0, end), (0.0, 10.0), seed) for seed, end in enumerate((20.0, 22.0, 24.0))]
    assert difference(pairs, "end") == f"+12.0 [{12 - 4.968:+.1f}, {12 + 4.968:+.1f}]"
    assert difference(pairs[:1], "end") == "+10.0 (one seed)"
    page = markdown(pairs, 5)
    assert page.startswith("## Transfer\n")
    assert page.count("| A-v0 | B-v0 |") == 3


def test_the_experiment_goes_on_where_it_was_stopped_and_writes_its_section(zoo, tmp_path, monkeypatch):
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Other\n\nstays\n")
    settings = (("n_envs", 4), ("n_steps", 64))
    small = Task("sac-Pendulum-v1", "Pendulum-v1", transfer.OTHER, "mlp:4", 1_024, 1_024, settings=settings)
    monkeypatch.setitem(transfer.TASKS, "pendulum", small)
    quick = {"select_episodes": 2, "n_selections": 2, "track": "offline"}
    config = Config(zoo, ("pendulum",), (0,), **quick, out=tmp_path / "runs", results=results)
    main(config)
    first = results.read_text()
    assert "## Other\n\nstays" in first
    assert first.count("| Pendulum-v1 | PendulumLongHeavy-v1 | mlp:4 | 1,024 | 0 |") == 1
    assert (tmp_path / "runs" / "report.html").exists()
    runs = [tmp_path / "runs" / "pendulum-0" / name for name in ("transferred", "scratch")]
    assert [read_run(run / "wandb")["run"].run_group for run in runs] == ["runs"] * 2
    monkeypatch.setattr(transfer, "transfer", None)
    monkeypatch.setattr(transfer, "distill", None)
    main(config)
    assert results.read_text() == first


def test_an_unknown_task_is_refused():
    with pytest.raises(RequestError, match="expected --task among"):
        main(Config(None, ("chess",)))
