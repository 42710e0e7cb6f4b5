import math
import re

import numpy as np
import pytest
import torch

from policy_distill.compression.compress import compress
from policy_distill.compression.kinds import Kinds
from policy_distill.compression.limits import Limits
from policy_distill.compression.members import members_for
from policy_distill.compression.population import Population
from policy_distill.config import make_config
from policy_distill.environments.open import open_environments
from policy_distill.errors import RunFault
from policy_distill.losses.kl import forward_kl
from policy_distill.run.stream import Stream
from policy_distill.training.schedule import Moment
from tests.compression.test_resume import SETTINGS, die_and_resume, found_in, run
from tests.doubles import cartpole_teacher

SPECS = ["linear", "mlp:2", "mlp:24"]
N_STATES = 512


def poison(population, number):
    """Make the weights of one student NaN, as a step that diverged would."""
    if number in population._alone:
        population._alone[number].trainer.stepper.adam.weights[:] = math.nan
        return
    step = population._step
    place, state = population._together.index(number), step.state()
    member = step._members[place]
    state["weights"][member.start : member.start + step._sizes.count(member.widths)] = math.nan
    step.restore(state)


@pytest.fixture
def poisoned(monkeypatch):
    """Let given starts (network, activation, number) diverge once a quarter of the data is collected."""
    learn, starts = Population.learn, []

    def poisoned_learn(self, buffer, moment):
        if moment.before == 0.25:
            for number in self.active:
                member = self.members[number]
                if (member.spec, member.activation, member.restart) in starts:
                    poison(self, number)
        return learn(self, buffer, moment)

    monkeypatch.setattr(Population, "learn", poisoned_learn)
    return starts


def dropped(out):
    """Return the starts that diverged, and when."""
    record = found_in(out)["compression"]
    said = re.compile(r"its start (\d+) with (\w+) diverged")
    found = [(one, said.fullmatch(one["why"])) for one in record["dropped"]]
    return record, [((one["spec"], match[2], int(match[1])), one["env_steps"]) for one, match in found if match]


@pytest.mark.parametrize(
    "starts",
    [
        [("mlp:24", "relu", 0)],
        [("mlp:2", kind, k) for kind in ("tanh", "relu") for k in range(8)],
        [("linear", "tanh", 0), ("mlp:24", "tanh", 0)],
    ],
    ids=["one that learns alone", "a whole network that learns with others", "one of each kind"],
)
def test_students_that_diverge_are_out_and_reported_and_the_race_goes_on(tmp_path, poisoned, starts):
    poisoned += starts
    result = run(tmp_path / "run", students=SPECS)
    record, found = dropped(tmp_path / "run")
    # Starts that a rung had dropped before cannot diverge.
    assert found
    assert {start for start, _ in found} <= set(starts)
    assert {steps for _, steps in found} == {640}
    assert record["winner"] in SPECS
    assert np.isfinite([array.sum() for array in result.student.tensors.values()]).all()
    assert record["front"] and all(math.isfinite(one["retention"]["mean"]) for one in record["front"])


def test_a_race_in_which_a_student_diverged_resumes_bit_for_bit(tmp_path, poisoned):
    poisoned += [("mlp:24", "tanh", 0), ("mlp:2", "tanh", 1), ("linear", "tanh", 0)]
    whole, died = die_and_resume(tmp_path, 640, 896, students=SPECS)
    assert whole == died
    assert any(one["why"].endswith("diverged") for one in died["compression"]["dropped"])


def test_where_every_student_diverges_the_run_says_so_in_one_line(poisoned):
    poisoned += [("linear", "tanh", 0)]
    with pytest.raises(RunFault, match="every student diverged; lower --learning-rate"):
        compress(cartpole_teacher(), "CartPole-v1", students=["linear"], retention=0.6, **SETTINGS)


def learnt(poisoned_ones, n=3):
    """Let a population learn from one rollout again and again, some diverging in the second turn; return it."""
    config = make_config(None, {**SETTINGS, "n_steps": N_STATES // 4})
    stream = Stream(cartpole_teacher(), open_environments("CartPole-v1", 4), config, "linear")
    rollout = stream.collect(stream.teacher, 1.0, greedy=True)
    labels = stream.label(rollout)
    stream.store(rollout, stream.features(rollout), labels)
    found = Population(members_for(SPECS), Kinds(stream, forward_kl, Limits(0.6)), config, labels)
    for turn in range(n):
        if turn == 1:
            for number in poisoned_ones:
                poison(found, number)
        found.learn(stream.buffer, Moment(turn / n, (turn + 1) / n, N_STATES, turn))
    return found


def weights_of(found, number):
    return torch.nn.utils.parameters_to_vector(found.policy(number).parameters()).detach().numpy().copy()


def test_the_others_learn_what_they_would_have_learnt_without_those_that_diverge():
    numbers = {(m.spec, m.activation, m.restart): n for n, m in enumerate(members_for(SPECS))}
    alone, together = numbers["mlp:24", "tanh", 0], numbers["mlp:2", "relu", 3]
    whole, found = learnt([]), learnt([alone, together])
    assert set(found.out) == {alone, together}
    for number in found.active:
        # With one fewer in a product of matrices the sums may be taken in another order.
        exact = numbers["mlp:24", "relu", 0] == number
        tolerance = 0 if exact else 1e-4
        np.testing.assert_allclose(weights_of(found, number), weights_of(whole, number), tolerance, tolerance)


def test_one_that_diverges_keeps_its_last_finite_average():
    whole = members_for(SPECS)
    for spec in SPECS:
        number = next(n for n, member in enumerate(whole) if member.spec == spec)
        assert np.isfinite(weights_of(learnt([number]), number)).all()
