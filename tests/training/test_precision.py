"""Layers that compute in bfloat16 while a student trains: everything that outlives a step stays float32."""

import copy

import numpy as np
import pytest
import torch

from experiments.benchmarks.images import N_ACTIONS, make_student
from policy_distill.config import DistillConfig
from policy_distill.losses.batch import Batch
from policy_distill.losses.kl import forward_kl
from policy_distill.training.autograd_step import AutogradStep
from policy_distill.training.dense_step import DenseStep
from policy_distill.training.trainer import Trainer
from tests.training.test_trainer import make_student as dense_student

SIDE = 20


def batch_of(n=64):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n, 4, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    return Batch(images, 2 * torch.randn(n, N_ACTIONS, generator=generator))


def steps_of(student, precision, n=20):
    stepper, batch = AutogradStep(student, forward_kl, 1.0, precision), batch_of()
    return stepper, [float(stepper.step(batch, 3e-3)[0]) for _ in range(n)]


def test_a_student_learns_in_bfloat16_what_it_learns_in_float32():
    student = make_student("cnn:4,8+mlp:16", SIDE)
    stepper, losses = steps_of(student, "bfloat16")
    _, exact = steps_of(student, "float32")
    assert losses[0] == pytest.approx(exact[0], rel=0.02) and losses[0] != exact[0]
    # What float32 gained in these steps, most of it at least.
    assert exact[-1] < exact[0] and losses[0] - losses[-1] > 0.8 * (exact[0] - exact[-1])
    assert all(array.dtype == np.float32 for name, array in stepper.state().items() if name != "n_steps")
    assert all(parameter.dtype == torch.float32 for parameter in stepper.trained.parameters())


def test_an_optimiser_goes_on_from_its_state_in_bfloat16():
    student = make_student("cnn:4", SIDE)
    one, _ = steps_of(student, "bfloat16", n=5)
    other = AutogradStep(copy.deepcopy(student), forward_kl, 1.0, "bfloat16")
    other.restore({name: np.array(array) for name, array in one.state().items()})
    for stepper in (one, other):
        stepper.step(batch_of(), 1e-3)
    assert all(np.array_equal(array, other.state()[name]) for name, array in one.state().items())


def test_images_alone_are_trained_in_another_precision_on_the_processor():
    config = DistillConfig(precision="bfloat16")
    of_images = Trainer(make_student("cnn:4", SIDE), forward_kl, config).stepper
    assert isinstance(of_images, AutogradStep) and of_images.precision == torch.bfloat16
    family = make_student("cnn:4", SIDE).spec.family
    assert isinstance(Trainer(dense_student(family), forward_kl, config).stepper, DenseStep)
