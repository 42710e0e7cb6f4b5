import json
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from policy_distill import distill, finetune, load_student, load_teacher
from policy_distill.errors import RequestError
from policy_distill.run.finetuning.settings import FinetuneConfig
from policy_distill.student.runtime import Student
from policy_distill.student.slim import slim
from policy_distill.student.spaces import make_space
from policy_distill.system.interrupts import Interrupted
from policy_distill.tracking.jsonl import read_metrics
from tests.doubles import cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.kill import contents
from tests.run.finetuning.doubles import QUICK, Aim, Anything, student_of
from tests.run.test_resume import Dies, Stop
from tests.students import KINDS, MEMORY_KINDS, make_student, name_of

TRAINABLE = [kind for kind in KINDS if "tree" not in kind[2] and "deterministic" not in kind[1]]


def aimed_at(student):
    """Return where a student of `Aim` acts on average."""
    rng = np.random.default_rng(0)
    return float(np.mean([student.act(rng.uniform(-1, 1, 2).astype(np.float32)) for _ in range(50)]))


def test_reward_moves_a_student_towards_what_pays_and_the_gain_is_proven(tmp_path):
    begun = student_of(Aim(), mean=-0.5)
    settings = {**QUICK, "timesteps": 8192, "n_steps": 64, "learning_rate": 0.01, "eval_episodes": 40}
    result = finetune(begun, Aim, out=tmp_path / "run", **settings)
    found = result.record.finetuning
    assert found.outcome == "better"
    assert found.returned == "tuned"
    assert found.gain > 0.0
    assert abs(aimed_at(result.student) - 0.5) < abs(aimed_at(begun) - 0.5) / 2
    saved = load_student(tmp_path / "run" / "student.safetensors")
    np.testing.assert_array_equal(saved.tensors["network.0.weight"], result.student.tensors["network.0.weight"])
    assert saved.provenance["returned"] == "tuned"


def test_a_student_that_is_not_proven_better_is_handed_back_as_it_came(tmp_path):
    begun = student_of(Aim(), mean=0.5)
    result = finetune(begun, Aim, out=tmp_path / "run", **QUICK, learning_rate=1e-9)
    assert result.record.finetuning.returned == "began_with"
    assert "not proven better" in result.record.finetuning.words
    assert all(np.array_equal(array, result.student.tensors[name]) for name, array in begun.tensors.items())
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["finetuning"]["returned"] == "began_with"


def test_a_student_that_got_worse_is_never_handed_over():
    # Aims well, and is told the opposite of what the proof will say.
    begun = student_of(Aim(), mean=0.5, log_std=-2.0)

    class Lies(Aim):
        n_made = 0

        def __init__(self):
            super().__init__()
            type(self).n_made += 1
            self.lies = type(self).n_made <= QUICK["n_envs"]

        def step(self, action):
            obs, reward, *rest = super().step(action)
            return obs, 1.0 - reward if self.lies else reward, *rest

    settings = {**QUICK, "timesteps": 4096, "learning_rate": 0.01, "eval_episodes": 30, "select_episodes": 0}
    result = finetune(begun, Lies, **settings)
    assert result.record.finetuning.outcome == "worse"
    assert np.array_equal(result.student.tensors["network.0.weight"], begun.tensors["network.0.weight"])


def test_as_long_as_only_the_critic_learns_the_student_stays_as_it_came(tmp_path):
    begun, stays = student_of(Aim()), []

    class Watches(Dies):
        def log(self, metrics, step):
            stays.append(metrics.get("train/step_kl"))

    settings = {**QUICK, "critic_steps": 192, "eval_episodes": 0, "learning_rate": 0.01}
    finetune(begun, Aim, tracker=Watches(0), **settings)
    assert max(stays[:3]) < 1e-6 < 1e-4 < stays[3]


def test_a_run_that_would_end_before_its_student_learns_is_refused():
    with pytest.raises(RequestError, match=r"more than 256 --timesteps.*found 256; raise --timesteps, or lower"):
        finetune(student_of(Aim()), Aim, **{**QUICK, "critic_steps": 193})


@pytest.mark.parametrize("nobody", ["eval_episodes", "select_episodes", "n_selections"])
def test_a_weight_that_follows_the_retention_needs_students_that_are_judged(nobody):
    begun, option = student_of(gymnasium.make("CartPole-v1")), "--" + nobody.replace("_", "-")
    with pytest.raises(RequestError, match=f"found {option} 0; raise it, or use --kl-schedule linear"):
        finetune(begun, "CartPole-v1", teacher=cartpole_teacher(), **{**QUICK, nobody: 0})


def test_a_teacher_holds_a_student_that_nobody_judges(tmp_path):
    begun, settings = student_of(gymnasium.make("CartPole-v1")), {**QUICK, "select_episodes": 0}
    finetune(begun, "CartPole-v1", teacher=cartpole_teacher(), kl_schedule="constant", out=tmp_path / "run", **settings)
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "train/kl_weight" in row]
    assert [row["train/kl_weight"] for row in rows] == [0.0, 1.0, 1.0, 1.0]


def test_the_test_keeps_away_from_the_episodes_of_a_proof_that_the_user_names():
    result = finetune(student_of(Aim()), Aim, **QUICK, eval_seed=1_000_002)
    assert result.record.seed == 1_000_002
    assert result.record.finetuning.seed == 2_000_000


@pytest.mark.parametrize("kind", TRAINABLE, ids=name_of)
def test_a_student_of_every_kind_goes_on_and_keeps_its_form(kind):
    begun = make_student(kind)
    whole = begun.view.whole
    observed = begun.observation_space if whole is None else make_space(dict(whole))
    make = partial(Anything, observed, begun.action_space)
    result = finetune(begun, make, **{**QUICK, "timesteps": 96, "critic_steps": 32, "eval_episodes": 0})
    tuned = result.student
    assert tuned.record.plan.head == begun.record.plan.head
    before, after = ([array for _, array in sorted(one.tensors.items())] for one in (begun, tuned))
    assert [array.shape for array in after] == [array.shape for array in before]
    # What is far off its statistics saturates a student, which then has no gradient.
    assert kind[0] == "far" or any(not np.array_equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", MEMORY_KINDS[:1] + [kind for kind in KINDS if "deterministic" in kind[1]][:2])
def test_what_ppo_cannot_improve_is_refused_in_one_line(kind):
    begun = make_student(kind)
    with pytest.raises(RequestError, match="expected a") as error:
        finetune(begun, partial(Anything, begun.observation_space, begun.action_space), **QUICK)
    assert "\n" not in str(error.value)


def test_a_teacher_with_another_kind_of_distribution_is_refused():
    with pytest.raises(RequestError, match=r"diagonal_gaussian.*found categorical"):
        finetune(student_of(Aim()), Aim, teacher=corridor_teacher(), **QUICK)


def test_an_environment_that_shows_something_else_is_refused():
    with pytest.raises(RequestError, match="does not fit"):
        finetune(student_of(Aim()), "Pendulum-v1", **QUICK)


def test_an_unknown_setting_is_refused_with_the_nearest():
    with pytest.raises(RequestError, match="finetune has no setting 'critic_step'; nearest: critic_steps"):
        finetune(student_of(Aim()), Aim, critic_step=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"gamma": 0.0},
        {"clip_range": 1.0},
        {"kl_schedule": "soon"},
        {"critic_steps": -1},
        {"buffer": "aggregate"},
        {"es_pairs": 0},
        {"es_episodes": 0},
        {"es_sigma": -1.0},
        {"es_rate": 0.0},
        {"log_std_init": float("nan")},
    ],
)
def test_a_setting_out_of_range_is_refused(wrong):
    with pytest.raises(RequestError, match=next(iter(wrong))):
        FinetuneConfig(**wrong)


@pytest.mark.parametrize("teacher", [None, pendulum_teacher])
def test_a_run_that_died_twice_equals_one_that_did_not(tmp_path, teacher):
    begun = student_of(gymnasium.make("Pendulum-v1"), "mlp:8")

    def run(name, **more):
        of = {} if teacher is None else {"teacher": teacher()}
        return finetune(begun, "Pendulum-v1", out=tmp_path / name, **{**QUICK, "learning_rate": 0.003}, **of, **more)

    run("whole")
    for number, step in enumerate((128, 192)):
        with pytest.raises(Stop):
            run("died", tracker=Dies(step), resume=number > 0)
    run("died", resume=True)
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")


def test_with_a_teacher_the_proof_is_against_it_and_its_weight_falls_with_what_is_kept(tmp_path):
    env = gymnasium.make("CartPole-v1")
    result = finetune(student_of(env), "CartPole-v1", teacher=cartpole_teacher(), out=tmp_path / "run", **QUICK)
    assert result.record.teacher.returns.mean > 400.0
    rows = [row for row in read_metrics(tmp_path / "run" / "metrics.jsonl") if "train/kl_weight" in row]
    assert [row["train/kl_weight"] for row in rows[:1]] == [0.0]
    assert 0.5 < rows[-1]["train/kl_weight"] <= 1.0
    assert rows[-1]["train/kl"] > 0.0


def test_the_first_row_is_the_student_as_it_came(tmp_path):
    finetune(student_of(Aim()), Aim, out=tmp_path / "run", **QUICK)
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert rows[0]["time/env_steps"] == 0
    assert "eval/selection_return" in rows[0]


def test_the_test_and_the_proof_use_other_episodes_than_those_before(tmp_path):
    first = finetune(student_of(Aim()), Aim, **QUICK)
    again = finetune(first.student, Aim, **QUICK)
    spans = [tuple(span) for span in again.student.provenance["spent_seeds"]]
    proofs = [span for span in spans if span[0] < 2**29]
    assert len(proofs) == 4
    assert len({low // 1_000_000 for low, _ in proofs}) == 4
    assert again.student.provenance["finetuned_from"]["finetuning"]["method"] == "ppo"


def test_a_student_that_was_slimmed_has_no_spread_afterwards_either():
    begun = slim(student_of(Aim(), mean=-0.5))
    assert begun.plan.log_std == "dropped"
    result = finetune(begun, Aim, **{**QUICK, "eval_episodes": 0})
    assert result.student.plan.log_std == "dropped"


def test_masks_rule_out_what_is_drawn_and_what_is_learnt():
    class Masked(gymnasium.Env[np.ndarray, int]):
        def __init__(self):
            self.observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
            self.action_space = spaces.Discrete(3)
            self.t = 0

        def action_masks(self):
            return np.array([self.t % 2 == 0, True, self.t % 2 == 1])

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.t = 0
            return np.zeros(2, np.float32), {}

        def step(self, action):
            assert self.action_masks()[action], "an action that was ruled out"
            self.t += 1
            return np.zeros(2, np.float32), float(action), self.t == 6, False, {}

    record = student_of(Masked()).record
    begun = Student(record.tensors, {**record.metadata, "takes_action_masks": True})
    result = finetune(begun, Masked, **{**QUICK, "timesteps": 512})
    assert result.student.takes_action_masks


def test_an_interruption_leaves_a_checkpoint(tmp_path):
    class Stops:
        def log(self, metrics, step):
            if step >= 128:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        finetune(student_of(Aim()), Aim, out=tmp_path / "run", tracker=Stops(), **QUICK)
    assert list((tmp_path / "run" / "checkpoint").iterdir())


def test_same_seed_same_student():
    one, other = (finetune(student_of(Aim()), Aim, **{**QUICK, "eval_episodes": 0}).student for _ in range(2))
    assert all(np.array_equal(array, other.tensors[name]) for name, array in one.tensors.items())
    torch.manual_seed(3)
    np.random.seed(3)
    third = finetune(student_of(Aim()), Aim, **{**QUICK, "eval_episodes": 0}).student
    assert all(np.array_equal(array, third.tensors[name]) for name, array in one.tensors.items())


def test_a_student_that_brings_a_critic_needs_no_warm_up_and_keeps_its_discount(zoo):
    begun = distill(
        zoo / "ppo-LunarLander-v2", "LunarLander-v3", "mlp:8", value_weight=1.0, timesteps=2048, eval_episodes=0
    ).student
    result = finetune(begun, "LunarLander-v3", **{**QUICK, "critic_steps": None, "eval_episodes": 0})
    assert result.config.critic_steps == 0
    assert result.config.gamma == begun.critic.metadata["discount"]
    assert any(not np.array_equal(result.student.tensors[name], array) for name, array in begun.tensors.items())


def test_a_student_that_is_handed_back_keeps_its_critic(zoo, tmp_path):
    begun = distill(
        zoo / "ppo-LunarLander-v2", "LunarLander-v3", "mlp:8", value_weight=1.0, timesteps=2048, eval_episodes=0
    ).student
    settings = {**QUICK, "critic_steps": None, "learning_rate": 1e-9}
    for method in ("ppo", "es"):
        finetune(begun, "LunarLander-v3", out=tmp_path / method, method=method, es_sigma=1e-9, es_rate=1e-9, **settings)
        found = load_student(tmp_path / method / "student.safetensors")
        assert found.provenance["returned"] == "began_with"
        assert found.critic.metadata == begun.critic.metadata
        assert all(np.array_equal(array, found.critic.tensors[name]) for name, array in begun.critic.tensors.items())


def test_the_discount_is_the_teachers_own_unless_another_is_named(zoo):
    teacher = load_teacher(zoo / "ppo-LunarLander-v2")
    begun = distill(teacher, "LunarLander-v3", "mlp:8", timesteps=2048, eval_episodes=0).student
    settings = {**QUICK, "eval_episodes": 0, "timesteps": 128, "kl_schedule": "linear"}
    assert finetune(begun, "LunarLander-v3", teacher=teacher, **settings).config.gamma == teacher.discount
    assert finetune(begun, "LunarLander-v3", **settings).config.gamma == 0.99
    assert finetune(begun, "LunarLander-v3", teacher=teacher, gamma=0.9, **settings).config.gamma == 0.9
