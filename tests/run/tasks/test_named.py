"""What is handed over as tasks: another form is refused in one line."""

import pytest

from policy_distill.errors import RequestError
from policy_distill.run.tasks.distill_many import distill_many


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (None, "expected tasks such as .*, found NoneType"),
        ("CartPole-v1", "expected tasks such as .*, found str"),
        ([("a.zip", "CartPole-v1", 3), ("b.zip", "Acrobot-v1")], "found a tuple of 3 as number 1"),
        ([("a.zip", "CartPole-v1"), "b.zip"], "found a str as number 2"),
        ([("a.zip", "CartPole-v1")], "expected from 2 to 100 tasks"),
    ],
)
def test_tasks_of_another_form_are_refused_by_what_was_found(tasks, words):
    with pytest.raises(RequestError, match=words):
        distill_many(tasks, "mlp:8,8")
