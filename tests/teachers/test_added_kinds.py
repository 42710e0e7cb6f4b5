"""A kind of teacher that an installed package adds: its models and its files are opened by its own entry point."""

import importlib
import sys
import textwrap

import numpy as np
import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.teachers.algorithms import ALGORITHMS, check_name
from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor

QUICK = {"timesteps": 64, "n_envs": 2, "n_steps": 16, "eval_episodes": 2, "select_episodes": 0}

CODE = '''
"""An algorithm that acts by its habits: PPO with logits three times as sharp."""

from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from policy_distill.interfaces.policies import Labels
from policy_distill.teachers.algorithms import Algorithm
from policy_distill.teachers.kinds.network import NetworkTeacher, discrete_family
from policy_distill.teachers.kinds.on_policy import actor_parameters, distribution_params


class HabitPolicy(ActorCriticPolicy):
    """Its own class of policy."""


class Habit(PPO):
    """Its own class of model."""


class HabitTeacher(NetworkTeacher):
    """One file, as every kind is."""

    def label(self, obs, episode_starts, state=None, action_masks=None):
        return Labels(3.0 * super().label(obs, episode_starts).params)


def make_habit(policy, normalizer, provenance):
    family, action_map = discrete_family(policy.action_space)
    return HabitTeacher(
        policy, normalizer, provenance, family=family, action_map=action_map,
        forward=lambda obs: distribution_params(policy.get_distribution(obs)), parameters=actor_parameters(policy),
    )


HABIT = Algorithm("Habit", "extra_habits", make_habit, {"extra_habits": "HabitPolicy"})
NO_ALGORITHM = "habit"
'''


def install(folder, points):
    described = folder / "extra_habits-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: extra-habits\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[policy_distill.teachers]\n{points}\n")
    (folder / "extra_habits.py").write_text(textwrap.dedent(CODE))
    return str(folder)


@pytest.fixture
def habits(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path / "site", "habit = extra_habits:HABIT"))
    yield importlib.import_module("extra_habits")
    sys.modules.pop("extra_habits", None)


def make_model(habits):
    return habits.Habit(habits.HabitPolicy, Corridor(), n_steps=8, batch_size=8, seed=0, device="cpu")


def test_models_and_files_of_an_added_kind_are_its_own_teachers(habits, tmp_path):
    model = make_model(habits)
    model.save(tmp_path / "agent.zip")
    live, saved = load_teacher(model), load_teacher(tmp_path / "agent.zip", trust=True)
    obs, starts = np.random.default_rng(0).normal(size=(5, 2, 2)).astype(np.float32), np.zeros((5, 2), bool)
    assert saved.provenance["algorithm"] == live.provenance["algorithm"] == "habit"
    assert torch.equal(live.label(obs, starts).params, saved.label(obs, starts).params)
    as_ppo = load_teacher(model, algo="ppo").label(obs, starts).params
    assert torch.equal(live.label(obs, starts).params, 3.0 * as_ppo)
    with pytest.raises(RequestError, match=r"extra_habits\.HabitPolicy.*trust=True"):
        load_teacher(tmp_path / "agent.zip")
    assert distill(saved, Corridor, "linear", **QUICK).student.metadata["provenance"]["algorithm"] == "habit"


def test_an_added_kind_is_named_as_those_of_the_table_are(habits):
    assert check_name("habit") == check_name("Habit") == "habit"
    with pytest.raises(RequestError, match=r"among auto, ppo, .*, habit, found 'hobbit'"):
        check_name("hobbit")


def test_models_of_the_table_stay_what_they_are_beside_it(habits):
    assert [name for name in ALGORITHMS if check_name(name) != name] == []
    assert load_teacher(habits.PPO("MlpPolicy", Corridor(), device="cpu")).provenance["algorithm"] == "ppo"


def test_without_its_entry_point_a_model_is_what_it_descends_from(habits, tmp_path, monkeypatch):
    model = make_model(habits)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path / "site")])
    assert load_teacher(model).provenance["algorithm"] == "ppo"


def test_what_is_no_algorithm_is_refused_with_its_package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(install(tmp_path / "site", "habit = extra_habits:NO_ALGORITHM"))
    with pytest.raises(
        RequestError, match=r"extra-habits offers 'habit' as one of policy_distill\.teachers, and it is a str"
    ):
        check_name("habit")
    sys.modules.pop("extra_habits", None)
