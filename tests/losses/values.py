import torch

from policy_distill.losses.batch import Batch, Outputs


def batch_of(teacher_params):
    """Labelled states whose features no loss reads."""
    return Batch(torch.zeros(len(teacher_params), 1), teacher_params)


def value(loss, family, teacher_params, student_params):
    """The loss `[B]` of a student's parameters on a teacher's."""
    return loss(batch_of(teacher_params), Outputs(family, student_params))
