from functools import partial

import numpy as np
import pytest

from policy_distill import finetune
from policy_distill.errors import RequestError
from policy_distill.student.spaces import make_space
from policy_distill.tracking.jsonl import read_metrics
from tests.kill import contents
from tests.run.finetuning.doubles import QUICK, Aim, Anything, student_of
from tests.run.finetuning.test_finetune import aimed_at
from tests.run.test_resume import Dies, Stop
from tests.students import KINDS, MEMORY_KINDS, make_student, name_of

SEARCH = {**QUICK, "method": "es", "timesteps": 1024, "es_pairs": 4}


def test_what_pays_moves_a_student_without_gradients(tmp_path):
    begun = student_of(Aim(), "linear", mean=-0.5)
    settings = {**SEARCH, "timesteps": 8192, "es_sigma": 0.2, "es_rate": 0.2, "eval_episodes": 40}
    result = finetune(begun, Aim, out=tmp_path / "run", **settings)
    assert result.record.finetuning.outcome == "better"
    assert result.record.finetuning.method == "es"
    assert abs(aimed_at(result.student) - 0.5) < abs(aimed_at(begun) - 0.5) / 2
    steps = [row["time/env_steps"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert steps == sorted(steps)
    assert steps[-1] >= 8192


KINDS_OF_ALL = [KINDS[0], KINDS[9], *MEMORY_KINDS[:3], ("image_first", "gaussian", "cnn:4,4", "relu"), KINDS[-14]]


@pytest.mark.parametrize("kind", KINDS_OF_ALL, ids=name_of)
def test_students_that_ppo_cannot_improve_go_on_too(kind):
    begun = make_student(kind)
    whole = begun.view.whole
    observed = begun.observation_space if whole is None else make_space(dict(whole))
    make = partial(Anything, observed, begun.action_space)
    tuned = finetune(begun, make, **{**SEARCH, "timesteps": 80, "eval_episodes": 0}).student
    assert {name: array.shape for name, array in tuned.tensors.items()} == {
        name: array.shape for name, array in begun.tensors.items()
    }
    assert any(not np.array_equal(tuned.tensors[name], begun.tensors[name]) for name in begun.tensors)


def test_a_tree_is_refused():
    begun = make_student(("unnormalized", "discrete", "tree:8", "tanh"))
    with pytest.raises(RequestError, match="found a tree"):
        finetune(begun, partial(Anything, begun.observation_space, begun.action_space), **SEARCH)


def test_a_search_that_died_twice_equals_one_that_did_not(tmp_path):
    begun = student_of(Aim(), "linear")

    def run(name, **more):
        return finetune(begun, Aim, out=tmp_path / name, **SEARCH, **more)

    run("whole")
    for number, step in enumerate((300, 700)):
        with pytest.raises(Stop):
            run("died", tracker=Dies(step), resume=number > 0)
    run("died", resume=True)
    assert contents(tmp_path / "whole") == contents(tmp_path / "died")
