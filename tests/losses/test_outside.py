"""Losses and families of other packages: what our own losses make of the one, and `choose_loss` of the other."""

from dataclasses import dataclass, replace

import pytest
import torch

from policy_distill.errors import RequestError
from policy_distill.families.categorical import Categorical
from policy_distill.losses import table
from policy_distill.losses.jensen_shannon import JensenShannon
from policy_distill.losses.regression import huber, mse
from policy_distill.losses.table import choose_loss, make_loss
from policy_distill.student.head import Head
from tests.losses.values import value


@dataclass(frozen=True)
class OneLogit:
    """Choices whose first option has the logit 0, which is no parameter."""

    head = Head("argmax", (3, 2), reference=True)
    n_params = 3


def plain(batch, outputs):
    return outputs.family.kl(batch.teacher_params, outputs.params)


def offer(monkeypatch, make):
    monkeypatch.setattr(table, "load_plugin", lambda group, name: make)


@pytest.mark.parametrize("loss", [mse, JensenShannon(0.3)])
def test_choices_with_a_reference_count_as_with_all_their_logits(loss):
    taught, found = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(5, 1)
    parts = [
        value(loss, Categorical(n), *(torch.cat([zero, params[:, of]], dim=1) for params in (taught, found)))
        for n, of in ((3, slice(0, 2)), (2, slice(2, 3)))
    ]
    assert torch.allclose(value(loss, OneLogit(), taught, found), sum(parts), atol=1e-6)
    assert value(huber, OneLogit(), taught, taught).tolist() == [0.0] * 5


def test_a_loss_whose_function_takes_no_number_is_given_none(monkeypatch):
    offer(monkeypatch, lambda: plain)
    assert make_loss("plain") is plain
    with pytest.raises(RequestError, match=r"^the loss plain takes no number, found 'plain:3'$"):
        make_loss("plain:3")


def test_a_loss_that_is_not_one_value_per_sample_is_refused_before_a_run(monkeypatch):
    offer(monkeypatch, lambda: lambda batch, outputs: plain(batch, outputs).mean())
    with pytest.raises(RequestError, match=r"^expected one value per sample of the loss mean_kl, found the shape \(\)"):
        choose_loss("mean_kl", Categorical(2))
    offer(monkeypatch, lambda: plain)
    assert choose_loss("plain", Categorical(2)) is plain


def fails(batch, outputs):
    raise ZeroDivisionError("no such price")


def hands_back(batch, outputs):
    return mse(replace(batch, teacher_params=batch.teacher_params[0]), outputs)


def reads(batch, outputs):
    assert batch.columns["action_masks"].all() and batch.columns["actions"].shape == (1,)
    return plain(batch, outputs) * (1 + batch.columns["rewards"])


reads.columns = ("rewards", "actions", "action_masks")


def test_a_loss_that_raises_is_named_with_its_place_before_a_run(monkeypatch):
    offer(monkeypatch, lambda: fails)
    with pytest.raises(
        RequestError,
        match=r"^the loss dear cannot be used: code of tests raised ZeroDivisionError: no such price "
        r"\(test_outside.py:\d+, in fails\); fix it, or choose another loss; POLICY_DISTILL_TRACEBACK=1 shows",
    ) as refused:
        choose_loss("dear", Categorical(2))
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
    # What this package raises since it was called wrongly is the caller's too.
    offer(monkeypatch, lambda: hands_back)
    with pytest.raises(RequestError, match=r"^the loss back .*code of tests raised ValueError: .*in hands_back\)"):
        choose_loss("back", Categorical(2))
    offer(monkeypatch, lambda number: 1 / number)
    with pytest.raises(RequestError, match=r"^the loss share:0 cannot be used: .* ZeroDivisionError"):
        make_loss("share:0")


@pytest.mark.parametrize(("made", "found"), [(None, "NoneType"), (lambda batch, outputs: 1.0, "float")])
def test_what_is_no_loss_is_refused_before_a_run(monkeypatch, made, found):
    offer(monkeypatch, lambda: made)
    with pytest.raises(RequestError, match=rf"^expected .* of? ?.*the loss none, found {found}"):
        choose_loss("none", Categorical(2))


def test_a_loss_that_reads_columns_is_tried_with_a_row_of_them(monkeypatch):
    offer(monkeypatch, lambda: reads)
    assert choose_loss("reads", Categorical(2)) is reads
