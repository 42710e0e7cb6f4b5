"""Labels come on the device that the teacher has, and whoever needs them elsewhere moves them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from policy_distill.collection.actors import TeacherActor
from policy_distill.collection.sampling import sampled
from policy_distill.evaluation.compare import fidelity_on_own_states
from policy_distill.evaluation.fidelity import measure_fidelity
from policy_distill.interfaces.policies import Labels
from policy_distill.losses.batch import Batch, Outputs
from policy_distill.losses.likelihood import SampledNLL
from policy_distill.run.critics.critic import ValueCritic
from policy_distill.run.critics.scale import RunningScale
from policy_distill.run.distill import distill
from policy_distill.teachers.kinds.ensemble import EnsembleTeacher
from tests.doubles import Corridor, FormulaTeacher, corridor_teacher, pendulum_teacher

QUICK = {"timesteps": 256, "n_envs": 2, "n_steps": 32, "eval_episodes": 2, "select_episodes": 0}
AWAY = torch.device("meta")
MOVE = torch.Tensor.to


class Elsewhere(torch.Tensor):
    """Behaves as a tensor on another device: it has no array, and is not computed with beside what is here."""

    @classmethod
    def __torch_function__(cls, function, types, arguments=(), options=None):
        if function is torch.Tensor.numpy:
            raise TypeError("can't convert a tensor on another device to NumPy")
        if function == torch.Tensor.device.__get__:
            return AWAY
        # Torch looks the function up by its name, which the fixture below gives another one.
        moves = function in (MOVE, torch.Tensor.to)
        target = next((one for one in arguments[1:] if isinstance(one, str | torch.device)), None)
        if function is torch.Tensor.cpu or (moves and target not in (None, AWAY)):
            return arguments[0].as_subclass(torch.Tensor).clone()
        if moves and target == AWAY:
            return arguments[0]
        flat = [one for part in arguments for one in (part if isinstance(part, list | tuple) else [part])]
        if any(type(one) is torch.Tensor and one.dim() > 0 for one in flat):
            raise RuntimeError("expected all tensors on the same device")
        return super().__torch_function__(function, types, arguments, options or {})


class Remote(FormulaTeacher):
    """One whose network is elsewhere."""

    def label(self, *arguments, **options):
        return Labels(super().label(*arguments, **options).params.as_subclass(Elsewhere))

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        params = super().label(observation[None], np.zeros((1, len(observation)), bool)).params
        return self.action_map.execute(self.family.mode(params[0]).numpy()), state


def remote(plain):
    weight = plain.weight.tolist()
    return Remote(plain.observation_space, plain.action_space, weight)


@pytest.fixture(autouse=True)
def _there_is_such_a_device(monkeypatch):
    def moved(tensor, *arguments, **options):
        if arguments[:1] == (AWAY,) and type(tensor) is torch.Tensor:
            return tensor.clone().as_subclass(Elsewhere)
        return MOVE(tensor, *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "to", moved)


def test_the_double_is_as_strict_as_a_device():
    there = torch.ones(3).as_subclass(Elsewhere)
    with pytest.raises(TypeError, match="another device"):
        there.numpy()
    with pytest.raises(RuntimeError, match="same device"):
        there + torch.ones(3)
    assert there.cpu().numpy().tolist() == [1.0, 1.0, 1.0]
    assert (there + torch.ones(3).to(there.device)).cpu().numpy().tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("make", [corridor_teacher, pendulum_teacher])
def test_actors_draw_here_from_labels_that_are_elsewhere(make):
    plain = make()
    obs = np.random.default_rng(0).normal(size=(6, *plain.observation_space.shape)).astype(np.float32)
    starts = np.ones(6, bool)
    for act in (TeacherActor, lambda teacher, seed: sampled(teacher, seed)):
        found, expected = (act(teacher, 3).predict(obs, None, starts)[0] for teacher in (remote(plain), plain))
        assert np.array_equal(found, expected)


def test_members_of_an_ensemble_may_be_elsewhere():
    plain, members = corridor_teacher(), [remote(corridor_teacher()), remote(corridor_teacher())]
    obs, starts = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32), np.zeros((4, 3), bool)
    together = EnsembleTeacher(members)
    assert isinstance(together.label(obs, starts).params, Elsewhere)
    expected = EnsembleTeacher([plain, plain]).predict(obs[0], None, starts[0], True)[0]
    assert np.array_equal(together.predict(obs[0], None, starts[0], True)[0], expected)


def test_what_a_student_says_is_compared_where_the_labels_are(monkeypatch):
    teacher, seen = corridor_teacher(), []
    kl = teacher.family.kl
    family = SimpleNamespace(**{name: getattr(teacher.family, name) for name in ("mode", "has_density")})
    family.kl = lambda *params: seen.append([type(one) for one in params]) or kl(*params)
    labels = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    learner = SimpleNamespace(params=lambda features: features)
    one = SimpleNamespace(family=family, action_map=teacher.action_map)
    here = measure_fidelity(one, learner, labels.flip(0), labels)
    assert measure_fidelity(one, learner, labels.flip(0), labels.as_subclass(Elsewhere)) == here
    assert seen == [[torch.Tensor] * 2, [Elsewhere] * 2]


@pytest.mark.parametrize("objective", ["kl", "n_distill"])
def test_a_run_with_a_teacher_that_is_elsewhere_is_the_run_with_one_here(objective):
    here, there = (
        distill(teacher, Corridor, "mlp:4", objective=objective, **QUICK)
        for teacher in (corridor_teacher(), remote(corridor_teacher()))
    )
    for name, array in here.student.tensors.items():
        assert np.array_equal(there.student.tensors[name], array), name
    assert here.evaluation["kl"] == there.evaluation["kl"]
    found = fidelity_on_own_states(remote(corridor_teacher()), there.student, Corridor)
    assert found == fidelity_on_own_states(corridor_teacher(), here.student, Corridor)


def test_actions_of_labels_that_are_elsewhere_are_drawn_where_the_generator_is():
    class Family:
        def sample(self, params, generator):
            assert params.device == generator.device
            return params

        def log_prob(self, params, actions):
            assert actions.device == params.device
            return torch.zeros(len(params))

    there = torch.ones(3, 2).as_subclass(Elsewhere)
    SampledNLL()(Batch(there, there), Outputs(Family(), there))


def test_values_of_a_critic_are_here_wherever_its_features_are():
    learner = SimpleNamespace(params=lambda features: features)
    critic = ValueCritic.__new__(ValueCritic)
    critic._learner, critic._scale = learner, RunningScale()
    critic._scale.add(np.arange(4.0))
    values = critic.values(torch.ones(3, 1).as_subclass(Elsewhere))
    assert values.device == torch.device("cpu") and type(values) is torch.Tensor
