import gymnasium
import numpy as np
import pytest

from policy_distill.environments.perturbations.conditions import parse_conditions
from policy_distill.environments.perturbations.dealt import open_dealt
from policy_distill.environments.restarts import Restarts
from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from tests.doubles import Corridor, FormulaTeacher, cartpole_teacher, corridor_teacher, pendulum_teacher
from tests.run.test_resume import QUICK, die_and_resume


class Tilted(Corridor):
    """Shows how far it is tilted in place of the constant, and rewards by that too."""

    def __init__(self, tilt=0.0, size=2):
        super().__init__()
        self.tilt = tilt
        if size != 2:
            self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (size,), np.float32)

    def step(self, action):
        obs, reward, *ends = super().step(action)
        return (obs, reward + 100.0 * self.tilt, *ends)

    def _obs(self):
        return np.array([self.t / self.length, self.tilt], dtype=np.float32)


class Looking(FormulaTeacher):
    """Notes the tilt of all that it labels."""

    def __init__(self):
        env = Tilted()
        super().__init__(env.observation_space, env.action_space, [[0.0, 0.0], [0.0, 3.0]])
        self.labelled = []

    def label(self, obs, episode_starts, state=None, action_masks=None):
        self.labelled.append(obs[..., 1])
        return super().label(obs, episode_starts, state, action_masks)


def test_environments_are_dealt_in_turns_and_judged_as_they_are():
    teacher, settings = Looking(), {**QUICK, "timesteps": 400, "n_envs": 5, "n_steps": 20}
    result = distill(teacher, Tilted, "linear", collect_perturb="env:tilt=1,env:tilt=-1", **settings)
    rollouts = [tilts for tilts in teacher.labelled if tilts.shape[1] == 5 and len(tilts) == 20]
    # Environments 0 and 3 as they are.
    assert len(rollouts) == 4
    assert all((tilts == np.array([0.0, 1.0, -1.0, 0.0, 1.0])).all() for tilts in rollouts)
    judged = [returns for returns in result.evaluation["episodes"].values() if returns is not None]
    assert len(judged) == 3 and all(0 <= one <= 10 for returns in judged for one in returns)
    assert result.evaluation["selection"]["return"] == 10


def test_the_measurement_comes_from_the_environment_as_it_is():
    teacher = Looking()
    distill(teacher, Tilted, "linear", collect_perturb="env:tilt=1", **{**QUICK, "timesteps": 128})
    last = teacher.labelled[-1]
    assert (last == 0.0).all() and last.size > 0


def test_noise_is_in_what_the_teacher_labels_and_follows_from_the_seed():
    conditions = parse_conditions("obs-noise:0.5,delay:2")

    def first(seed):
        envs = open_dealt("Pendulum-v1", 3, conditions, [], np.ones(3), None)
        for index in range(3):
            envs.reset(index, seed)
        seen = [envs.obs.copy()]
        for _ in range(4):
            envs.step(np.zeros((3, 1), np.float32))
            seen.append(envs.obs.copy())
        envs.close()
        return np.stack(seen)

    seen = first(4)
    plain, noisy, late = seen.transpose(1, 0, 2)
    assert not np.allclose(plain, noisy) and np.std(noisy - plain) == pytest.approx(0.5, rel=0.5)
    assert np.array_equal(late[2:], plain[:-2]) and np.array_equal(late[0], plain[0])
    assert np.array_equal(seen, first(4)) and not np.array_equal(seen, first(5))


@pytest.mark.parametrize(
    ("make_teacher", "env", "settings"),
    [
        (pendulum_teacher, "Pendulum-v1", {"collect_perturb": "obs-noise:0.2,sticky:0.5,delay:1+action-noise:0.1"}),
        (cartpole_teacher, "CartPole-v1", {"collect_perturb": "sticky:0.25", "actor": "mixed"}),
    ],
)
def test_a_perturbed_run_that_died_equals_one_that_did_not(tmp_path, make_teacher, env, settings):
    whole, died = die_and_resume(tmp_path, make_teacher, lambda: env, at=(384, 768), **settings)
    assert whole == died
    plain = distill(make_teacher(), env, "mlp:8", **QUICK)
    other = distill(make_teacher(), env, "mlp:8", **QUICK, **settings)
    assert any(not np.array_equal(plain.student.tensors[k], v) for k, v in other.student.tensors.items())


def test_a_failed_environment_is_made_again_under_its_condition():
    made = []

    def make(tilt=0.0):
        made.append(tilt)
        return Tilted(tilt)

    envs = open_dealt(make, 4, parse_conditions("env:tilt=1"), [], None, None)
    envs.faults.restarts = Restarts(1)
    for index in range(4):
        envs.reset(index, index)
    envs.restart(3, RuntimeError("broken"))
    envs.reset(3, 3)
    assert made == [0.0, 1.0, 0.0, 1.0, 1.0] and envs.obs[3, 1] == 1.0


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("fog:1", {}, "expected perturbations among"),
        ("sticky:2", {}, "from 0 to 1 for sticky"),
        ("env:size=3", {}, "does not fit"),
        ("env:colour=3", {}, "refuses colour=3"),
        ("sticky:0.1,sticky:0.2", {"n_envs": 2}, "set --n-envs 3 or more"),
        (3, {}, "conditions separated by commas"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(text, settings, words):
    with pytest.raises(RequestError, match=words) as refused:
        distill(corridor_teacher(), Tilted, "linear", collect_perturb=text, **{**QUICK, **settings})
    assert "\n" not in str(refused.value)


def test_an_environment_that_is_handed_over_cannot_be_perturbed():
    env = gymnasium.vector.SyncVectorEnv([Tilted] * 4)
    with pytest.raises(RequestError, match="a callable to perturb"):
        distill(corridor_teacher(), env, "linear", collect_perturb="sticky:0.1", **QUICK)
