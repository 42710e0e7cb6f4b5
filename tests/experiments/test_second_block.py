import dataclasses

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from experiments.results import Results, main
from experiments.second_block import judged_again, overlap
from experiments.seed_simulations import group, runs_drawn_anew, world
from policy_distill import distill, load_teacher
from policy_distill.evaluation.proof.training_seeds import across_seeds
from policy_distill.report.read_run import find_runs
from policy_distill.report.suite_charts import cells
from tests.run_folders import write_run


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Two students of a PPO zip that pushes towards where the pole falls."""
    folder = tmp_path_factory.mktemp("suite")
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": []})
    push = torch.tensor([0.2, 0.6, 4.0, 4.0])
    with torch.no_grad():
        model.policy.action_net.weight.copy_(torch.stack([-push, push]))
        model.policy.action_net.bias.zero_()
    (folder / "teacher").mkdir()
    model.save(folder / "teacher" / "teacher.zip")
    teacher = load_teacher(folder / "teacher" / "teacher.zip", env="CartPole-v1")
    settings = {"timesteps": 2048, "n_steps": 64, "eval_episodes": 12, "select_episodes": 0}
    for seed in (0, 1):
        distill(teacher, "CartPole-v1", "mlp:8", **settings, seed=seed, out=folder / f"seed-{seed}")
    return folder


def test_students_are_judged_again_on_episodes_that_their_proof_did_not_use(suite):
    (cell,) = cells(find_runs(suite).runs)
    (again,) = judged_again([cell], (suite,))
    assert [len(run.student) for run in again.second.runs] == [12, 12]
    used = {seed for run in again.first.runs for seed in range(run.first_seed, run.first_seed + len(run.student))}
    fresh = {seed for run in again.second.runs for seed in range(run.first_seed, run.first_seed + len(run.student))}
    assert not used & fresh
    # The teacher holds the pole on both blocks; random policies do not, and differ.
    assert np.all(again.second.runs[0].teacher == 500)
    assert not np.array_equal(again.first.runs[0].random, again.second.runs[0].random)


def test_results_show_both_blocks(suite, tmp_path):
    main(Results((suite,), tmp_path / "RESULTS.md", min_seeds=2, second_block=(suite / "teacher",)))
    text = (tmp_path / "RESULTS.md").read_text()
    section = text.partition("## The same students on a second block of episodes")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")][2:]
    assert [row[:2] for row in rows] == [["CartPole-v1", "mlp:8"], ["all", ""]]
    first = cells(find_runs(suite).runs)[0].retention
    assert rows[0][2] == first.text()


def test_students_whose_teacher_or_episodes_are_not_found_are_named(suite, tmp_path, capsys):
    other = cells([*find_runs(suite).runs])
    assert judged_again(other, (tmp_path,)) == []
    assert f"expected its teacher {other[0].teacher} in {tmp_path}, found no such file" in capsys.readouterr().err
    write_run(tmp_path / "run")
    (cell,) = cells(find_runs(tmp_path).runs)
    run = cell.runs[0]
    settings = dataclasses.replace(run.settings, teacher=other[0].runs[0].settings.teacher)
    run = dataclasses.replace(run, settings=settings, evaluation=dataclasses.replace(run.evaluation, episodes=None))
    assert judged_again([dataclasses.replace(cell, runs=[run])], (suite,)) == []
    assert "its proof has no episodes" in capsys.readouterr().err


def test_intervals_overlap_where_they_share_a_value():
    rng = np.random.default_rng(0)
    low, high = (across_seeds([group(world(rng, 3, 100, seed=0.05, truth=at))]) for at in (0.3, 0.9))
    assert (low.kind, high.kind) == ("interval", "interval")
    assert (overlap(low, low), overlap(low, high), overlap(high, low)) == ("yes", "no", "no")
    single = across_seeds([group(world(rng, 1, 100))])
    assert overlap(single, high) == ""


def test_two_blocks_of_the_same_students_overlap_in_almost_all_simulations():
    # Two 95% intervals of one value are disjoint in under 1%; drawing the runs alone anew, they are in most.
    rng = np.random.default_rng(1)
    n_disjoint = n_disjoint_of_runs = 0
    for _ in range(200):
        students = 0.97 + 0.005 * rng.normal(size=(4, 1))
        blocks = []
        for _ in range(2):
            noise, teacher, random = world(rng, 4, 100, student=0.01, teacher=0.3, random=0.3, truth=0.0)
            blocks.append(group((students + noise, teacher, random)))
        n_disjoint += overlap(*(across_seeds([block]) for block in blocks)) == "no"
        one, other = (runs_drawn_anew([block], rng) for block in blocks)
        n_disjoint_of_runs += one[0] > other[1] or other[0] > one[1]
    assert n_disjoint <= 6
    assert n_disjoint_of_runs > 100


def test_every_row_of_the_results_has_a_cell_for_each_column(tmp_path):
    for seed in range(3):
        write_run(tmp_path / f"seed-{seed}", seed=seed)
    main(Results((tmp_path,), out=tmp_path / "RESULTS.md"))
    table = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert len({line.count("|") for line in table}) == 1
