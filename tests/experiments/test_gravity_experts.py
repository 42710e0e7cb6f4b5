"""The experiment on experts of three gravities."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from envs.gravity_lander import ENV_ID, GRAVITIES
from experiments import gravity_experts, gravity_training
from experiments.gravity_experts import Config, main
from experiments.gravity_experts_table import UnderGravity, best_of_all, markdown, reached, returns_of, shares_of
from policy_distill.errors import RequestError
from policy_distill.student.runtime import load_student
from policy_distill.teachers.load import load_teacher
from tests.wandb_reader import read_run


def under(gravity, experts, student, tuned, n=100):
    """Return what experts return under a gravity, three students about `student`, and `tuned`; random returns 0."""
    rng = np.random.default_rng(5)
    returns = {"teacher": [200.0] * n, "random": rng.normal(0, 3, n).tolist()}
    returns |= {
        f"expert {place:g}": rng.normal(mean, 3, n).tolist() for place, mean in zip(GRAVITIES, experts, strict=True)
    }
    for kind, mean in (("student", student), ("tuned", tuned)):
        returns |= {f"{kind} {seed}": rng.normal(mean + shift, 3, n).tolist() for seed, shift in enumerate((-6, 0, 6))}
    return UnderGravity(gravity, returns, 0)


def test_students_stand_beside_the_best_expert_there_and_the_best_of_all():
    found = [under(-6.0, (200, 100, 50), 240, 210), under(-10.0, (150, 220, 100), 110, 221)]
    assert [one.best for one in found] == ["expert -6", "expert -10"]
    assert best_of_all(found) == "expert -6"
    assert [row[0] + row[-1] for row in returns_of(found)] == ["-6-6", "-10-10"]
    light, _, heavy, tuned = shares_of(found)
    assert light[:2] == ("-6", "distilled") and all(cell.endswith("better") for cell in light[3:])
    assert heavy[:2] == ("-10", "distilled") and heavy[4].endswith("worse") and heavy[5].startswith("0.7")
    assert heavy[2].startswith("-1") and tuned[:2] == ("-10", "tuned") and tuned[2][0] == "+"
    distilled, later, same = reached(found).splitlines()
    assert distilled.endswith("under 1 of 2 gravities; all of its interval is higher under 1, and lower under 1.")
    # Seeds 6 apart are ±15 in the mean of three, so that 10 more or 1 more is not clear.
    assert later.endswith("under 2 of 2 gravities; all of its interval is higher under 0, and lower under 0.")
    assert same.startswith("0 of 3 tuned students are the distilled ones")
    page = markdown(found, "mlp:8", (1000, 2000, 3000), 100)
    assert page.startswith("## Gravity experts\n") and "share of that of -6 [95%]" in page
    assert [line.count("|") for line in page.splitlines() if line.startswith("|")] == [10] * 4 + [7] * 6


def test_differences_have_an_interval_over_seeds_and_episodes():
    returns = {"expert -6": [0.0, 2.0], "student 0": [1.0, 3.0], "student 1": [3.0, 5.0], "random": [0.0, 0.0]}
    gap, half = UnderGravity(-6.0, returns, 0).more_than("expert -6", "student")
    # Of two seeds with 1 and 3 more: t(0.975, 1) = 12.706; of episodes that all show the same, nothing.
    assert (gap, half) == (2.0, pytest.approx(12.706, abs=0.001))


def test_every_episode_has_the_gravity_of_its_seed():
    env = gymnasium.make("GravityLander-v0")
    seen = [int(env.reset(seed=seed)[0]["expert"]) for seed in range(30)]
    assert seen == [int(env.reset(seed=seed)[0]["expert"]) for seed in range(30)]
    assert set(seen) == {0, 1, 2}
    for place, gravity in enumerate(GRAVITIES):
        one = gymnasium.make("GravityLander-v0", only=gravity)
        obs, _ = one.reset(seed=3)
        assert obs["expert"] == place and one.unwrapped.world.gravity[1] == pytest.approx(gravity)
        plain = gymnasium.make("LunarLander-v3", gravity=gravity)
        plain.reset(seed=3)
        assert np.array_equal(one.step(2)[0]["observation"], plain.step(2)[0])
    with pytest.raises(ValueError, match="expected one of"):
        gymnasium.make("GravityLander-v0", only=-7.0)


@pytest.fixture
def small(monkeypatch):
    recipe = replace(
        gravity_training.TEACHER, n_envs=2, hyperparameters={"n_steps": 32, "batch_size": 32, "n_epochs": 1}
    )
    monkeypatch.setattr(gravity_training, "TEACHER", recipe)
    monkeypatch.setattr(gravity_training, "SETTINGS", recipe.hyperparameters)
    for name, value in {"n_envs": 2, "select_episodes": 2, "critic_steps": 512, "eval_episodes": 3}.items():
        monkeypatch.setitem(gravity_experts.TUNING, name, value)
    monkeypatch.setattr(gravity_training, "N_EPISODES", 2)


def test_the_experiment_goes_on_where_it_was_stopped_and_writes_its_section(zoo, tmp_path, monkeypatch, small):
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Other\n\nstays\n")
    tiny = {
        "expert_steps": 128,
        "timesteps": 512,
        "tune_steps": 2_048,
        "episodes": 3,
        "eval_episodes": 3,
        "student": "mlp:4",
    }
    config = Config(zoo, (0, 1), **tiny, track="offline", out=tmp_path / "runs", results=results)

    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as once, pytest.raises(KeyboardInterrupt):
        once.setattr(gravity_experts, "scores", stopped)
        main(config)
    # Experts and students are there, and are not made again.
    for name in ("train_expert", "distill", "finetune"):
        monkeypatch.setattr(gravity_experts, name, None)
    main(config)
    text = results.read_text()
    assert "## Other\n\nstays" in text and "| -11.9 |" in text
    groups = [read_run(tmp_path / "runs" / f"student-{seed}" / "wandb")["run"].run_group for seed in (0, 1)]
    assert groups == ["gravity_experts"] * 2
    student = load_student(tmp_path / "runs" / "student-1" / "student.safetensors")
    known = student.provenance["teacher"]
    assert known["combine"] == "dispatch:expert" and len({one["sha256"] for one in known["members"]}) >= 1
    assert list(student.observation_space.spaces) == ["observation"]
    assert (tmp_path / "runs" / "student-1" / "report.html").exists()
    assert (tmp_path / "runs" / "tuned-1" / "student.safetensors").exists()
    expert = load_teacher(tmp_path / "runs" / "experts" / "gravity-6" / "agent.zip")
    assert expert.env_kwargs == {"gravity": -6.0}
    monkeypatch.setattr(gravity_experts, "scores", None)
    main(config)
    assert results.read_text() == text


def test_wrong_requests_are_refused_in_one_line(tmp_path):
    here = {"out": tmp_path, "results": tmp_path / "R.md"}
    with pytest.raises(RequestError, match="at least one training seed"):
        main(Config(tmp_path, (), **here))
    with pytest.raises(RequestError, match="at least 2 episodes, found 1"):
        main(Config(tmp_path, episodes=1, **here))
    with pytest.raises(RequestError, match="expected an agent or a student, found nothing"):
        main(Config(tmp_path, **here))
    assert ENV_ID.endswith("GravityLander-v0") and not (tmp_path / "R.md").exists()
