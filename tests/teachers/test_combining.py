"""Several teachers as one: which of them says what of a state, and what is wrong about some of them."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from policy_distill.cli import main
from policy_distill.compression.compress import compress
from policy_distill.errors import RequestError
from policy_distill.evaluation.apart.teachers import N_EPISODES, measured
from policy_distill.evaluation.evaluate import evaluate
from policy_distill.families.categorical import Categorical
from policy_distill.interfaces.policies import Labels
from policy_distill.run.distill import distill
from policy_distill.run.finetuning.finetune import finetune
from policy_distill.student.file import read_sealed
from policy_distill.student.runtime import load_student
from policy_distill.teachers.combining.combination import combination_of
from policy_distill.teachers.combining.standing import MemberReturns
from policy_distill.teachers.kinds.ensemble import EnsembleTeacher
from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor, FormulaTeacher

OBS = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32)
STARTS = np.zeros((5, 3), bool)
QUICK = {"timesteps": 256, "n_steps": 16, "eval_episodes": 8, "select_episodes": 0, "stop": "never"}


class Valued(FormulaTeacher):
    """Values a state by one of its components."""

    def __init__(self, weight, component, discount=0.9):
        env = Corridor()
        super().__init__(env.observation_space, env.action_space, weight)
        self.component, self.discount = component, discount

    def with_values(self):
        return self

    def label(self, obs, episode_starts, state=None, action_masks=None):
        found = super().label(obs, episode_starts)
        return Labels(found.params, value=torch.from_numpy(obs[..., self.component]))


def formulas():
    env = Corridor()
    weights = ([[0, 0], [3, 0]], [[0, 0], [0, 3]])
    return [FormulaTeacher(env.observation_space, env.action_space, np.array(w)) for w in weights]


def by_sign(obs):
    """Dispatch by the first component."""
    return obs[:, 0] > 0


def at_last(obs):
    return np.where(obs[:, 0] > 0, 2, 0)


def halves(obs):
    return obs[:, 0]


def of_one(obs):
    return 0


def broken(obs):
    raise KeyError("gravity")


def together(teachers, combine):
    return EnsembleTeacher(teachers, combination_of(combine))


def test_a_mean_is_of_parameters_and_a_mixture_of_probabilities():
    teachers = [*formulas(), Valued([[1, 0], [0, -2]], 0)]
    alone = torch.stack([one.label(OBS, STARTS).params for one in teachers])
    assert torch.equal(together(teachers, "mean").label(OBS, STARTS).params, alone.mean(dim=0))
    mixed = alone.softmax(dim=-1).mean(dim=0).log()
    for combine in ("mixture", None):
        assert torch.allclose(together(teachers, combine).label(OBS, STARTS).params, mixed, atol=1e-6)
    assert not torch.allclose(alone.mean(dim=0).softmax(-1), mixed.softmax(-1), atol=1e-3)


@pytest.mark.parametrize("combine", [by_sign, f"dispatch:{__name__}:by_sign"])
def test_a_function_says_who_labels_and_nothing_is_averaged(combine):
    teachers = formulas()
    first, second = (one.label(OBS, STARTS).params for one in teachers)
    expected = torch.where(torch.from_numpy(OBS[..., :1] > 0), second, first)
    teacher = together(teachers, combine)
    assert torch.equal(teacher.label(OBS, STARTS).params, expected)
    assert teacher.provenance["combine"] == f"dispatch:{__name__}:by_sign"
    actions, _ = teacher.predict(OBS[0], deterministic=True)
    assert np.array_equal(actions, expected[0].argmax(dim=-1).numpy())
    single, _ = teacher.predict(OBS[0, 0], deterministic=True)
    assert single == actions[0]


WRONG = {
    at_last: r"function .*at_last to return the index of a teacher, 0 to 1.*found 2",
    halves: r"function .*halves to return integers \[B\].*found float32",
    of_one: r"function .*of_one to return integers \[B\].*of shape \(\)",
    broken: r"function .*broken failed: .*gravity.*it must return integers",
}


@pytest.mark.parametrize("function", WRONG, ids=lambda function: function.__name__)
def test_a_function_that_answers_wrongly_is_named(function):
    with pytest.raises(RequestError, match=WRONG[function]):
        together(formulas(), function).label(OBS, STARTS)


ASKED = {
    "average": "among mixture, mean, best",
    "mean:x": "among mixture, mean, best",
    "dispatch": "among mixture, mean, best",
    "best:gravity": "best:MODULE:FUNCTION",
    "dispatch:nowhere_at_all:f": "no package 'nowhere_at_all'",
    f"dispatch:{__name__}:nothing": "expected a function at .* found none",
    f"dispatch:{__name__}:OBS": "expected a function at .* found a ndarray",
}


@pytest.mark.parametrize("combine", ASKED)
def test_what_there_is_not_is_refused_in_one_line(combine):
    with pytest.raises(RequestError, match=ASKED[combine]) as caught:
        combination_of(combine)
    assert "\n" not in str(caught.value)


def test_one_teacher_is_not_combined_and_a_gaussian_has_no_mixture(zoo):
    with pytest.raises(RequestError, match="several teachers to combine by best, found one"):
        load_teacher(zoo / "qrdqn-CartPole-v1", combine="best")
    swimmer = load_teacher(zoo / "trpo-Swimmer-v3")
    with pytest.raises(RequestError, match=r"one discrete choice for --combine mixture.*use mean"):
        together([swimmer, swimmer], "mixture")


@pytest.mark.parametrize("combine", ["mean", "best", "dispatch:expert"])
def test_teachers_of_different_families_are_refused(zoo, combine):
    with pytest.raises(RequestError, match="expected teachers of one family and observation"):
        load_teacher([zoo / "sac-Pendulum-v1", zoo / "trpo-Swimmer-v3"], combine=combine)


def test_by_their_values_the_one_that_expects_more_labels():
    teachers = [Valued([[0, 0], [3, 0]], 0), Valued([[0, 0], [0, 3]], 1)]
    first, second = (one.label(OBS, STARTS).params for one in teachers)
    expected = torch.where(torch.from_numpy(OBS[..., 1:] > OBS[..., :1]), second, first)
    teacher = together(teachers, "best")
    assert not teacher.awaits_returns
    assert torch.equal(teacher.label(OBS, STARTS).params, expected)


def test_values_of_other_discounts_do_not_compare_and_returns_are_measured():
    # The first prefers action 0, which gains nothing; the second prefers action 1, which gains 10.
    teachers = [Valued([[0, 0], [3, 0]], 0, 0.9), Valued([[0, 0], [0, 3]], 1, 0.99)]
    teacher = together(teachers, "best")
    assert teacher.awaits_returns
    with pytest.raises(RequestError, match="measured return of each teacher"):
        teacher.label(OBS, STARTS)
    known = measured(teacher, Corridor)
    assert known.standing == MemberReturns((0.0, 10.0), {}, N_EPISODES)
    assert torch.equal(known.label(OBS, STARTS).params, teachers[1].label(OBS, STARTS).params)
    assert known.provenance["returns"]["overall"] == [0.0, 10.0]
    # It knows the same after it was put away, and one that is known is not measured again.
    again = teacher.with_calibration(known.calibration)
    assert again.standing == known.standing and measured(known, None) is known


class Sides(gymnasium.Env):
    """Ten steps; by the side that an episode's seed decides, action 0 gains or action 1."""

    def __init__(self):
        self.observation_space = spaces.Box(-2, 2, (2,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.side, self.t = int(self.np_random.integers(2)), 0
        return self._look(), {}

    def step(self, action):
        self.t += 1
        return self._look(), float(action == self.side), self.t >= 10, False, {}

    def _look(self):
        return np.array([2 * self.side - 1, 1], np.float32)


def test_returns_by_context_say_who_is_best_where():
    teachers = formulas()
    teacher = measured(together(teachers, f"best:{__name__}:by_sign"), Sides)
    assert teacher.standing.contexts == {0: (10.0, 0.0), 1: (0.0, 10.0)}
    first, second = (one.label(OBS, STARTS).params for one in teachers)
    expected = torch.where(torch.from_numpy(OBS[..., :1] > 0), second, first)
    assert torch.equal(teacher.label(OBS, STARTS).params, expected)
    assert evaluate(teacher, Sides, 8).mean == 10.0


def test_a_context_that_was_not_met_goes_to_the_best_overall():
    known = MemberReturns((1.0, 2.0), {0: (3.0, 0.0)}, 10)
    assert known.best(np.array([[0, 7]]), (1, 2)).tolist() == [[0, 1]]
    assert known.best(None, (1, 2)).tolist() == [[1, 1]]
    assert MemberReturns.from_json(known.to_json(), 2) == known


@pytest.mark.parametrize("lie", [None, [], {"overall": [1.0], "contexts": {}, "n_episodes": 3}, {"overall": "ab"}])
def test_what_is_no_record_of_returns_is_refused(lie):
    with pytest.raises(ValueError, match="returns"):
        MemberReturns.from_json(lie, 2)


class Keyed(gymnasium.Wrapper):
    """Shows the side by a key of its own, and one number for what is left."""

    def __init__(self):
        super().__init__(Sides())
        space = spaces.Box(-2, 2, (2,), np.float32)
        self.observation_space = spaces.Dict({"expert": spaces.Discrete(2), "observation": space})

    def reset(self, **kwargs):
        return self._shown(self.env.reset(**kwargs)[0]), {}

    def step(self, action):
        obs, *rest = self.env.step(action)
        return self._shown(obs), *rest

    def _shown(self, obs):
        return {"expert": np.int64(obs[0] > 0), "observation": np.array([0, 1], np.float32)}


def test_a_key_dispatches_experts_that_never_saw_it_and_the_student_need_not_see_it():
    teacher = together(formulas(), "dispatch:expert")
    assert evaluate(teacher, Keyed, 8).mean == 10.0
    result = distill(teacher, Keyed, "mlp:4", observe="observation", **QUICK)
    assert list(result.student.observation_space.spaces) == ["observation"]
    # Which side it is, nothing that the student sees can tell: neither can it be right in both.
    assert result.record.student.returns.mean < 10.0
    assert result.record.teacher.returns.mean == 10.0
    sighted = distill(teacher, Keyed, "mlp:4", **{**QUICK, "timesteps": 4096})
    assert sighted.record.student.returns.mean == 10.0


def test_a_key_that_a_teacher_was_trained_on_is_refused():
    one = formulas()[0]
    one.observation_space = spaces.Dict({"expert": spaces.Discrete(2)})
    with pytest.raises(RequestError, match="the key 'expert' to be one that no teacher was trained on"):
        together([one, one], "dispatch:expert")


def test_statistics_of_one_teacher_under_a_key_are_those_of_what_it_sees():
    one = formulas()[0]
    one.normalizer = object()
    assert together([one, one], "dispatch:expert").members[0].normalizer == {"observation": one.normalizer}


def test_the_proof_gives_each_teacher_and_warns_of_one_that_fails(tmp_path, caplog):
    teachers = formulas()
    for place, one in enumerate(teachers):
        one.provenance = {**one.provenance, "source": f"{place}.zip", "sha256": str(place) * 64}
    result = distill(together(teachers, lambda obs: obs[:, 0] > 0), Corridor, "mlp:4", out=tmp_path / "run", **QUICK)
    bad, good = result.evaluation["teachers"]
    assert (bad["source"], bad["sha256"], bad["mean"], bad["best"], bad["below"]) == (
        "0.zip",
        "0" * 64,
        0.0,
        False,
        True,
    )
    assert (good["mean"], good["best"], good["below"], good["n_episodes"]) == (10.0, True, False, 8)
    student = result.record.student.returns.mean
    assert (bad["student_more"], good["student_more"]) == (student, student - 10.0)
    (line,) = [record.message for record in caplog.records if "clearly below" in record.message]
    assert line.startswith("teacher 1 of 2 (0.zip) returns 0.000, clearly below the 10.00 of 1.zip")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Each teacher alone, in 8 of the episodes" in page and "clearly below the best" in page
    known = load_student(tmp_path / "run" / "student.safetensors").provenance["teacher"]
    assert [one["sha256"] for one in known["members"]] == ["0" * 64, "1" * 64]


def test_one_teacher_alone_has_no_such_table():
    result = distill(formulas()[1], Corridor, "mlp:4", **QUICK)
    assert "teachers" not in result.evaluation


def test_a_stopped_run_goes_on_with_the_same_teachers_alone(tmp_path):
    teachers = formulas()
    for place, one in enumerate(teachers):
        one.provenance = {**one.provenance, "sha256": str(place) * 64}
    asked = {"checkpoint_every": 64, "keep_checkpoints": 9}
    teacher = together(teachers, f"best:{__name__}:by_sign")
    whole = distill(teacher, Sides, "mlp:4", out=tmp_path / "run", **QUICK, **asked)
    paths = sorted((tmp_path / "run" / "checkpoint").glob("step-*"))
    assert len(paths) > 1
    _, metadata = read_sealed(paths[0])
    assert metadata["checkpoint"]["calibration"]["returns"]["contexts"] == {"0": [10.0, 0.0], "1": [0.0, 10.0]}
    for path in paths[1:]:
        path.unlink()
    (tmp_path / "run" / "student.safetensors").unlink()
    for other in (together(teachers[::-1], f"best:{__name__}:by_sign"), together(teachers, "mean")):
        with pytest.raises(RequestError, match=r"made with made_with\.(files|combine)"):
            distill(other, Sides, "mlp:4", out=tmp_path / "run", resume=True, **QUICK, **asked)
    again = distill(teacher, Sides, "mlp:4", out=tmp_path / "run", resume=True, **QUICK, **asked)
    for name, value in whole.student.tensors.items():
        assert np.array_equal(value, again.student.tensors[name])


def test_experts_of_other_worlds_take_none_of_them_for_the_environment(caplog):
    teachers = formulas()
    for gravity, one in zip((-6.0, -10.0), teachers, strict=True):
        one.env_kwargs = {"gravity": gravity, "wind": True}
    teacher = together(teachers, by_sign)
    assert teacher.env_kwargs == {"wind": True}
    assert "gravity: -6.0, -10.0" in caplog.text
    with pytest.raises(RequestError, match="expected teachers of one environment, found arguments"):
        together(teachers, "mean")


def test_critics_of_stable_baselines3_say_who_is_best_without_an_episode(zoo):
    agent = load_teacher(zoo / "ppo-LunarLander-v2")
    shape = agent.observation_space.shape
    obs = np.random.default_rng(2).normal(size=(4, 2, *shape)).astype(np.float32)
    starts = np.zeros((4, 2), bool)
    worse = load_teacher(zoo / "ppo-LunarLander-v2")
    with torch.no_grad():
        # The same agent, but less hopeful where the first component is above 0, and of another opinion everywhere.
        worse.policy.action_net.bias += torch.arange(4.0)
    forward = worse._value
    worse._value = lambda seen: forward(seen) - torch.where(seen[:, :1] > 0, 50.0, -50.0)
    teacher = together([agent, worse], "best")
    assert not teacher.awaits_returns
    first, second = (one.label(obs, starts).params for one in (agent, worse))
    expected = torch.where(torch.from_numpy(obs[..., :1] > 0), first, second)
    assert torch.equal(teacher.label(obs, starts).params, expected)


def test_a_compression_measures_its_teachers_and_gives_each_of_them():
    teacher = together(formulas(), f"best:{__name__}:by_sign")
    settings = {"timesteps": 1024, "n_steps": 16, "n_envs": 4, "eval_episodes": 64}
    found = compress(teacher, Sides, students=["mlp:8"], **settings)
    assert found.student.provenance["teacher"]["returns"]["contexts"] == {"0": [10.0, 0.0], "1": [0.0, 10.0]}
    teachers = found.result.record.teachers
    assert len(teachers) == 2 and teachers[0].returns.mean + teachers[1].returns.mean == pytest.approx(10.0)


REFUSED = {
    "distill --teacher {a} {b} --combine average --env CartPole-v1 --out {out}": "expected --combine among mixture",
    "distill --teacher {a} --combine best --env CartPole-v1 --out {out}": "found one; leave --combine out",
    "compress --teacher {a} {b} --combine dispatch:nowhere:f --env CartPole-v1 --out {out}": "no package 'nowhere'",
    "evaluate {a} --combine mean --env CartPole-v1": "found one; leave --combine out",
    "compare {a} {b} --more-teachers {c} --combine mean --env CartPole-v1": "teachers of one family and observation",
    "distill --teacher {a} {b} --combine dispatch:x --env CartPole-v1 --out {out}": "observation space of CartPole-v1",
}


@pytest.mark.parametrize("line", REFUSED)
def test_wrong_requests_on_the_command_line_end_in_one_line(zoo, tmp_path, capfd, line):
    agents = {"a": zoo / "qrdqn-CartPole-v1", "b": zoo / "ars-CartPole-v1", "c": zoo / "sac-Pendulum-v1"}
    assert main(line.format(**agents, out=tmp_path / "run").split()) == 2
    said = capfd.readouterr().err.splitlines()
    assert REFUSED[line] in said[-1] and said[-1].startswith("policy-distill: ")
    assert not (tmp_path / "run").exists()


def test_a_student_is_tuned_beside_several_teachers_once_these_are_measured(tmp_path):
    begun = distill(formulas()[0], Corridor, "mlp:4", **QUICK)
    quick = {
        "timesteps": 640,
        "n_envs": 2,
        "n_steps": 16,
        "eval_episodes": 4,
        "select_episodes": 2,
        "critic_steps": 128,
    }
    teacher = together([Valued([[0, 0], [3, 0]], 0, 0.9), Valued([[0, 0], [0, 3]], 1, 0.99)], "best")
    result = finetune(begun.student, Corridor, teacher=teacher, **quick)
    assert result.record.teacher.returns.mean == 10.0 and len(result.record.teachers) == 2


def test_families_are_equal_by_what_they_are():
    assert together(formulas(), "best").family == Categorical(2)
