import json

import numpy as np
import pytest

from policy_distill.cli import main
from policy_distill.collection.policy_defaults import PolicyDefaults
from policy_distill.errors import RequestError
from policy_distill.evaluation.compare import compare, fidelity_on_own_states
from policy_distill.evaluation.contexts.robustness import compare_under
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.evaluation.paired import compare_policies
from policy_distill.evaluation.proof.plan import ProofPlan
from policy_distill.evaluation.proof.verdict import episodes_for_equal
from policy_distill.run.distill import distill
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from tests.doubles import Corridor, cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.run_folders import write_run
from tests.training.test_policy import make_policy


class Careless(PolicyDefaults):
    """The teacher, but for the share of episodes in which it does nothing right."""

    def __init__(self, teacher, share, seed=0):
        self.teacher, self.share, self.rng = teacher, share, np.random.default_rng(seed)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        actions, _ = self.teacher.predict(observation, None, episode_start, deterministic)
        if state is None:
            state = np.zeros(len(actions), bool)
        state = np.where(episode_start, self.rng.random(len(actions)) < self.share, state)
        return np.where(state, 0, actions), state


@pytest.fixture(scope="module")
def cartpole_student():
    settings = {"timesteps": 4096, "eval_episodes": 0, "seed": 0}
    return distill(cartpole_teacher(), "CartPole-v1", "mlp:8", **settings).student


def test_equal_policies_are_told_as_soon_as_the_floor_allows():
    found = compare_policies(cartpole_teacher(), cartpole_teacher(), "CartPole-v1", ProofPlan(200, 0, 20))
    verdict = found.retention.verdict
    assert (verdict.outcome, verdict.n_looks) == ("non-inferior", 4)
    needed = episodes_for_equal(found.scale)
    assert needed <= found.student.n_episodes == found.retention.n_episodes == 80 < needed + 20


def test_batches_go_on_with_the_seeds_until_the_verdict_is_clear():
    looks = []
    careless = Careless(cartpole_teacher(), 0.1)
    plan = ProofPlan(60, 3, 10)
    found = compare_policies(
        cartpole_teacher(), careless, "CartPole-v1", plan, on_look=lambda n, v: looks.append((n, v))
    )
    assert [n for n, _ in looks] == list(range(10, 10 * len(looks) + 1, 10))
    assert all(verdict.outcome in ("undecided", "undefined") for _, verdict in looks[:-1])
    assert found.retention.verdict == looks[-1][1]
    n_episodes = found.teacher.n_episodes
    whole = evaluate(cartpole_teacher(), "CartPole-v1", n_episodes, 3)
    assert found.teacher.returns.tolist() == whole.returns.tolist()


def test_a_student_at_a_loss_is_called_inferior():
    kept = compare(cartpole_teacher(), Careless(cartpole_teacher(), 0.5), "CartPole-v1", 40, until_certain=True)
    assert kept.verdict.outcome == "inferior"
    assert kept.iqm < 0.95 or kept.mean < 0.95


@pytest.mark.parametrize("batch", [1, 300])
def test_batches_that_cannot_be_judged_are_refused(batch):
    with pytest.raises(RequestError, match="batches of 2 to 200"):
        compare(corridor_teacher(), corridor_teacher(), Corridor, batch, until_certain=True, max_episodes=200)


def test_a_margin_reaches_the_verdict():
    kept = compare(corridor_teacher(), corridor_teacher(), Corridor, 10, margin=0.2)
    assert kept.verdict.margin == 0.2


def test_fidelity_is_measured_where_the_student_goes(cartpole_student):
    found = fidelity_on_own_states(cartpole_teacher(), cartpole_student, "CartPole-v1")
    assert 0.5 < found.agreement <= 1.0
    assert found.kl > 0


def test_a_student_without_log_std_agrees_as_before_and_has_no_divergence():
    teacher = pendulum_teacher()
    student = Student.of(make_policy(teacher).to_record({"env_id": "Pendulum-v1"}))
    whole, found = (fidelity_on_own_states(teacher, one, "Pendulum-v1") for one in (student, slim(student)))
    assert found.agreement == pytest.approx(whole.agreement, abs=1e-5)
    assert np.isnan(found.kl) and whole.kl > 0


def test_conditions_are_compared_side_by_side():
    found = compare(cartpole_teacher(), cartpole_teacher(), "CartPole-v1", 6, perturb="obs-noise:1,delay:6+sticky:0.5")
    assert list(found) == ["none", "obs-noise:1", "delay:6+sticky:0.5"]
    for one in found.values():
        assert one.teacher.returns.tolist() == one.student.returns.tolist()
    assert found["none"].teacher.mean == 500
    assert found["delay:6+sticky:0.5"].teacher.mean < 400


def test_the_command_line_shows_verdict_worst_episodes_and_perturbations(cartpole_student, tmp_path, capfd):
    from stable_baselines3 import PPO

    cartpole_student.save(tmp_path / "student.safetensors")
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, device="cpu", policy_kwargs={"net_arch": [8]})
    model.save(tmp_path / "teacher.zip")
    words = ["compare", str(tmp_path / "teacher.zip"), str(tmp_path / "student.safetensors"), "--episodes", "5"]
    words += ["--env", "CartPole-v1"]
    assert main([*words, "--perturb", "obs-noise:0.1,env:sutton_barto_reward=true", "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert set(record["perturbed"]) == {"none", "obs-noise:0.1", "env:sutton_barto_reward=true"}
    assert record["perturbed"]["env:sutton_barto_reward=true"]["student"]["mean"] <= 0
    assert {"worst5", "median"} <= set(record["student"])
    assert record["verdict"]["margin"] == 0.05
    assert 0 <= record["agreement"] <= 1
    assert record["kl"] >= 0
    assert main([*words, "--perturb", "sticky:0.25"]) == 0
    out = capfd.readouterr().out
    assert all(word in out for word in ("condition", "sticky:0.25", "verdict", "worst 5%", "agreement"))


def test_several_training_seeds_are_aggregated(cartpole_student, tmp_path, capfd):
    cartpole_student.save(tmp_path / "a.safetensors")
    cartpole_student.save(tmp_path / "b.safetensors")
    files = [str(tmp_path / name) for name in ("a.safetensors", "a.safetensors", "b.safetensors")]
    assert main(["compare", *files, "--episodes", "6", "--until-certain", "--max-episodes", "12", "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    assert [one["student_file"] for one in record["students"]] == files[1:]
    assert record["aggregate"]["n_runs"] == 2
    assert record["aggregate"]["iqm"] == 1.0
    # Two seeds that are one student: nothing tells how far seeds would differ.
    assert (record["aggregate"]["kind"], record["aggregate"]["mean"]) == ("range", 1.0)
    assert main(["compare", *files, "--episodes", "6"]) == 0
    assert "retention over students, mean [95%]  1.000, range 1.000 to 1.000" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--perturb", "fog:1"], "expected perturbations among obs-noise"),
        (["--perturb", "env:gravity"], "env:gravity=-12"),
        (["--perturb", "sticky:2"], "from 0 to 1"),
        (["--perturb", "env:nonsense=1"], "refuses nonsense=1"),
        (["--perturb", "env:render_mode=foo"], "found render_mode, which gymnasium.make uses itself; choose one"),
        (["--perturb", "sticky:0.1,env:max_episode_steps=5"], "found max_episode_steps"),
        (["--perturb", "sticky:0.1", "--until-certain"], "choose one"),
        (["--margin", "2"], "between 0 and 1"),
    ],
)
def test_a_wrong_request_ends_with_2_and_one_line(cartpole_student, tmp_path, capfd, words, message):
    cartpole_student.save(tmp_path / "a.safetensors")
    assert main(["compare", *[str(tmp_path / "a.safetensors")] * 2, "--episodes", "2", *words]) == 2
    err = capfd.readouterr().err
    assert message in err
    assert "Traceback" not in err


def test_a_teacher_no_better_than_chance_makes_the_verdict_undefined():
    class Chance:
        def __init__(self, seed):
            self.rng = np.random.default_rng(seed)

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return self.rng.integers(2, size=len(observation)), state

    kept = compare(Chance(0), corridor_teacher(), Corridor, 30)
    assert kept.verdict.outcome == "undefined"
    assert np.isnan([kept.mean_low, *kept.mean_ci95]).all()


def test_a_condition_that_is_named_twice_is_run_once():
    conditions, tried = "delay:1,sticky:0.5, delay:1,delay:1.0,sticky:0.50,delay:1+sticky:0.5", []
    env = "CartPole-v1"
    compare_under(cartpole_teacher(), cartpole_teacher(), env, conditions, 2, 0, on_condition=tried.append)
    assert tried == ["none", "delay:1", "sticky:0.5", "delay:1+sticky:0.5"]


def test_a_comparison_is_written_where_it_is_asked_for(cartpole_student, tmp_path, capfd):
    cartpole_student.save(tmp_path / "student.safetensors")
    words = ["compare", *[str(tmp_path / "student.safetensors")] * 2, "--episodes", "2", "--json"]
    out = tmp_path / "new" / "folder"
    assert main([*words, "--out", str(out)]) == 0
    printed = capfd.readouterr()
    assert json.loads((out / "comparison.json").read_text()) == json.loads(printed.out)
    assert str(out / "comparison.json") in printed.err
    assert main([*words, "--out", str(out)]) == 2
    assert "--overwrite" in capfd.readouterr().err
    assert main([*words, "--out", str(out), "--overwrite", "--perturb", "delay:1"]) == 0
    assert set(json.loads((out / "comparison.json").read_text())["perturbed"]) == {"none", "delay:1"}
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes").write_text("mine")
    assert main([*words, "--out", str(tmp_path / "used")]) == 2
    assert main([*words, "--out", str(tmp_path / "used" / "notes")]) == 2
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["notes"]


def test_perturbations_of_a_runs_own_student_are_shown_on_its_page(cartpole_student, tmp_path, capfd):
    folder, other = write_run(tmp_path / "run"), write_run(tmp_path / "other")
    cartpole_student.save(folder / "student.safetensors")
    student = str(folder / "student.safetensors")
    words = ["compare", student, student, "--episodes", "2", "--perturb", "delay:1"]
    assert main([*words, "--out", str(folder)]) == 0
    assert "delay:1" in (folder / "report.html").read_text()
    assert set(json.loads((folder / "perturbed.json").read_text())) == {"none", "delay:1"}
    assert main([*words, "--out", str(folder)]) == 2, "what was measured before is not lost"
    assert main([*words, "--out", str(folder), "--overwrite"]) == 0
    assert main([*words, "--out", str(other)]) == 2, "the folder of another student"
    assert "student's run folder" in capfd.readouterr().err
