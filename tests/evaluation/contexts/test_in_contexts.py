"""`compare(..., contexts=...)` from Python, and contexts that the environment cannot be played in."""

import json

import gymnasium
import numpy as np
import pytest

from policy_distill import compare
from policy_distill.cli import main
from policy_distill.collection.trial import try_conditions
from policy_distill.environments.perturbations.conditions import Condition, parse_conditions
from policy_distill.environments.perturbations.contexts import contexts_of
from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.system.records import dump
from tests.doubles import FormulaTeacher
from tests.run.finetuning.doubles import student_of

VALUES = {"grid": {"g": [8.0, 10.0, 12.0]}, "seen": {"g": [10.0, 12.0]}}
ENV = "Pendulum-v1"


@pytest.fixture(scope="module")
def policies():
    return [student_of(gymnasium.make(ENV), seed=seed) for seed in (0, 1)]


def test_the_same_is_found_from_python_as_on_the_command_line(policies, tmp_path, capfd):
    paths = [tmp_path / f"{name}.safetensors" for name in ("teacher", "student")]
    for one, path in zip(policies, paths, strict=True):
        one.save(path)
    file = tmp_path / "contexts.yaml"
    file.write_text(json.dumps(VALUES))
    words = ["compare", *map(str, paths), "--env", ENV, "--episodes", "3", "--contexts", str(file), "--json"]
    assert main(words) == 0
    said = json.loads(capfd.readouterr().out)["contexts"]
    found = compare(*policies, ENV, 3, contexts=file)
    assert json.loads(json.dumps(dump(found.record))) == said
    assert list(found.comparisons) == ["g=8.0", "g=10.0", "g=12.0"]
    assert set(found.gaps) == {"teacher", "student", "difference"}
    assert found.gaps["difference"].mean == said["difference"]["mean"]
    # Gymnasium's own gravity is the environment as it is.
    assert found.comparisons["g=10.0"].student.returns.tolist() == found.plain.student.returns.tolist()
    for same in (VALUES, contexts_of(VALUES)):
        assert compare(*policies, ENV, 3, contexts=same).record == found.record


@pytest.mark.parametrize(
    ("contexts", "more", "words"),
    [
        (VALUES, {"perturb": "delay:1"}, "expected one of perturb, contexts and until_certain"),
        (VALUES, {"until_certain": True}, "expected one of perturb, contexts and until_certain"),
        ({"grid": {"g": [1]}}, {}, "expected a mapping from names"),
        (contexts_of(VALUES)[:1], {}, "expected contexts that are seen, found none among 1"),
        (7, {}, "expected a mapping with one of grid, sample, contexts"),
        ("nowhere.yaml", {}, "nowhere.yaml"),
    ],
)
def test_what_cannot_be_compared_is_refused(policies, contexts, more, words):
    with pytest.raises(RequestError, match=words):
        compare(*policies, ENV, 3, contexts=contexts, **more)


def under(*held_out):
    return {"contexts": {"seen": [{"g": 10.0}], "held_out": [{"g": 9.0}, *held_out]}}


@pytest.mark.parametrize(
    ("context", "words"),
    [
        # The constructor takes anything; the first step does not.
        ({"g": "abc"}, "cannot be played under g=abc: .*TypeError: unsupported operand"),
        ({"g": [1, 2]}, r"cannot be played under g=\[1, 2\]: .*TypeError"),
        ({"g": float("nan")}, "cannot be played under g=nan: .*returned nan in an observation.* after its first step"),
        ({"q": 1}, "cannot be played under q=1: the environment refuses q=1"),
        ({"perturb": "delay:1", "g": "abc"}, "cannot be played under perturb=delay:1, g=abc: "),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_before_anybody_plays(policies, context, words):
    class Unplayed(FormulaTeacher):
        def predict(self, *_, **__):
            raise AssertionError("somebody played")

    env = gymnasium.make(ENV)
    teacher = Unplayed(env.observation_space, env.action_space, np.zeros((3, 1)))
    with pytest.raises(RequestError, match=words) as error:
        compare(teacher, policies[1], ENV, 3, contexts=under(context))
    assert "\n" not in str(error.value)
    assert str(error.value).endswith("; fix it, or leave it out")


def test_what_is_collected_under_is_tried_before_the_first_step(policies, tmp_path):
    quick = {"timesteps": 256, "n_envs": 4, "n_steps": 32, "eval_episodes": 0, "track": "disabled"}
    with pytest.raises(RequestError, match=r"cannot be played under env:g=abc: .*TypeError"):
        distill(policies[0], ENV, "mlp:4", collect_perturb="delay:1,env:g=abc", out=tmp_path / "run", **quick)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


class Hall(gymnasium.Env):
    """As wide as it is told, and of another kind where it is told so."""

    action_space = gymnasium.spaces.Discrete(2)
    played = 0

    def __init__(self, width=2):
        self.observation_space = gymnasium.spaces.Box(-1, 1, (width,))

    def reset(self, *, seed=None, options=None):
        type(self).played += 1
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, True, False, {}


def test_an_environment_that_becomes_another_one_is_refused_and_one_without_arguments_is_not_played():
    teacher = FormulaTeacher(Hall().observation_space, Hall.action_space, np.zeros((2, 2)))
    with pytest.raises(RequestError, match="cannot be played under wide: the observation space of Hall does not fit"):
        try_conditions(teacher, Hall, [Condition("wide", (), (("width", 3),))])
    before = Hall.played
    try_conditions(teacher, Hall, parse_conditions("delay:1,sticky:0.5"))
    assert Hall.played == before
    try_conditions(teacher, Hall, [Condition("same", (), (("width", 2),))])
    assert Hall.played == before + 1
