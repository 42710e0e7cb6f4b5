"""What of a student goes into another task: its layers where they fit, its head where actions are the same.

In: a student, and the spaces of the other task. Out: a student of that task, and what became of each part. Where an
observation has other components, the first layer keeps its weights of those that are the same, and begins at zero for
the others: at first the student does what it did. Where actions are others, the head is drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from policy_distill.errors import RequestError
from policy_distill.evaluation.parts.tuning_record import MovedRecord
from policy_distill.run.finetuning.form import with_spread
from policy_distill.run.transfer.task import NextTask
from policy_distill.student.actions import ActionMap
from policy_distill.student.features import Normalizer
from policy_distill.student.onboard.names import n_components, observation_names
from policy_distill.student.onboard.origins import StudentProvenance
from policy_distill.student.record import StudentRecord
from policy_distill.student.spaces import SpaceRecord
from policy_distill.student.view import ALL
from policy_distill.training.frozen import layers_of, names_to_freeze
from policy_distill.training.policy import StudentPolicy
from policy_distill.training.spec import StudentSpec

COPIED, RESIZED, ANEW = "copied", "resized", "begun anew"


def moved_to(
    task: NextTask, origin: StudentRecord, freeze: Sequence[str], seed: int
) -> tuple[StudentRecord, tuple[MovedRecord, ...]]:
    """Return a student for a task, made of one of another, and what became of each part.

    `seed` draws what is begun anew. One whose spaces are the same goes on as it came.

    Raises:
        RequestError: for a student that cannot be taken along, and a frozen layer that was not copied.
    """
    kind = origin.description.architecture.spec
    if not any("weight" in layer for layer in origin.plan.layers):
        raise RequestError(f"expected a network to transfer, found {kind}; distil a new one there")
    if origin.description.distribution.package is not None:
        raise RequestError(f"expected a distribution of this package, found that of {kind}; distil a new student there")
    whole = with_spread(origin, 0.0)
    other_inputs, other_head = _other_inputs(origin, task), _other_head(whole, task)
    said = whole.description
    bounds = _bounds_words(said.action_map, task.action_map) if not other_head else ""
    if not (other_inputs or other_head):
        record = origin
        if bounds:
            described = replace(origin.description, action_map=task.action_map, action_space=task.action_space)
            record = StudentRecord(origin.tensors, described)
        became = {name: (COPIED, "") for name in whole.tensors}
    else:
        _check_resizable(origin, kind, inputs=other_inputs)
        places = _places(origin, task) if other_inputs else None
        spec = _spec_of(whole, task, places, other_head=other_head)
        record, became = _filled(whole, spec, places, other_head=other_head, seed=seed)
    parts = _parts(became, record, freeze)
    if other_inputs and said.normalizer is not None:
        what = RESIZED if any(place is not None for place in places or ()) else ANEW
        words = _kept(places, "are measured under random actions" if task.statistics else "have mean 0, deviation 1")
        parts = (MovedRecord("observation statistics", what, words, False), *parts)
    elif said.normalizer is not None:
        parts = (MovedRecord("observation statistics", COPIED, "they stay as they are", False), *parts)
    return record, (*parts, *([MovedRecord("action bounds", ANEW, bounds, False)] if bounds else []))


def _other_inputs(origin: StudentRecord, task: NextTask) -> bool:
    """Say whether a task shows a vector of other components; refuse what is no vector and differs."""
    view, own = origin.view, _whole(origin)
    known, same = _labels(origin), _form(own) == _form(task.observation_space)
    if same and (not known or not task.labels or known == task.labels):
        return False
    vectors = all(one["type"] == "Box" and len(one["shape"]) == 1 for one in (own, task.observation_space))
    if not vectors or view.whole is not None or view.wrapper is not None:
        raise RequestError(
            f"expected the observations that the student sees ({_form(own)}), or two vectors that it sees whole, "
            f"found {_form(task.observation_space)} in {task.env_id}; distil a new student there"
        )
    return True


def _other_head(origin: StudentRecord, task: NextTask) -> bool:
    """Say whether a task has other actions, or a distribution of them that a student's head does not give."""
    said = origin.description
    same = _form(said.action_space) == _form(task.action_space) and said.action_map.kind == task.action_map.kind
    return not (same and said.distribution.family == task.family.name and said.architecture.log_std == task.log_std)


def _check_resizable(origin: StudentRecord, kind: str, *, inputs: bool) -> None:
    if origin.plan.memory.size:
        raise RequestError(f"expected a feed-forward student where spaces differ, found {kind}; distil a new one there")
    if origin.plan.selected is not None and inputs:
        raise RequestError(
            "expected a student that reads every component, found one that was reduced to some of them; transfer the "
            "student that it was made from"
        )


def _whole(origin: StudentRecord) -> SpaceRecord:
    """Return what the environment of a student shows, of which it may see a part."""
    return origin.description.observation_space if origin.view.whole is None else origin.view.whole


def _labels(origin: StudentRecord) -> tuple[str, ...]:
    """Return what many call the components that a student's environment shows; empty where nobody does."""
    env_id = StudentProvenance.of(origin.description.provenance).env_id
    return observation_names(env_id, _whole(origin)) or ()


def _places(origin: StudentRecord, task: NextTask) -> list[int | None]:
    """Return for each component of the task's observations where it stood before: by name where both have names."""
    n_old, n_new = (n_components(space) or 0 for space in (_whole(origin), task.observation_space))
    before, now = _labels(origin), task.labels
    if before and now:
        return [before.index(name) if name in before else None for name in now]
    return [index if index < n_old else None for index in range(n_new)]


def _spec_of(whole: StudentRecord, task: NextTask, places: list[int | None] | None, *, other_head: bool) -> StudentSpec:
    spec = StudentPolicy.from_record(whole).spec
    if other_head:
        spec = replace(spec, family=task.family, log_std=task.log_std)
    wiring = spec.wiring.elsewhere(None if places is None else task.labels, same_actions=not other_head)
    spec = replace(spec, action_map=task.action_map, action_space=task.action_space, wiring=wiring)
    spec = replace(spec, takes_action_masks=task.takes_action_masks)
    if places is None:
        return spec
    seen, known = replace(ALL, labels=task.labels), spec.normalizer
    statistics = _statistics(known, places, task.statistics) if isinstance(known, Normalizer) else None
    return replace(spec, observation_space=task.observation_space, normalizer=statistics, view=seen)


def _statistics(old: Normalizer, places: Sequence[int | None], measured: Normalizer | None) -> Normalizer:
    new = measured or replace(old, mean=np.zeros(len(places)), variance=np.ones(len(places)))
    pairs = list(enumerate(places))
    mean = np.array([new.mean[now] if place is None else old.mean[place] for now, place in pairs])
    variance = np.array([new.variance[now] if place is None else old.variance[place] for now, place in pairs])
    return replace(old, mean=mean, variance=variance)


def _filled(
    whole: StudentRecord, spec: StudentSpec, places: list[int | None] | None, *, other_head: bool, seed: int
) -> tuple[StudentRecord, dict[str, tuple[str, str]]]:
    """Return a student of `spec` with the weights that it keeps, and what became of each of its arrays."""
    policy = StudentPolicy(spec, torch.Generator().manual_seed(seed))
    old = StudentPolicy.from_record(whole).tensors()
    made, became = policy.tensors(), dict[str, tuple[str, str]]()
    numbers = [name for name in layers_of(made) if name != "log_std"]
    first, last = (layers_of(made)[numbers[place]] for place in (0, -1))
    kept = {now: before for now, before in enumerate(places or ()) if before is not None}
    for name, array in made.items():
        if other_head and (name in last or name == "log_std"):
            became[name] = (ANEW, f"{' x '.join(map(str, array.shape))}, drawn by the seed")
        elif places is not None and name in first and not kept:
            became[name] = (ANEW, "no component is the same; drawn by the seed")
        elif places is not None and name in first and name.endswith("weight"):
            array[:] = 0.0
            for column, place in kept.items():
                array[:, column] = old[name][:, place]
            became[name] = (RESIZED, _kept(places, "begin at 0"))
        elif name in old and old[name].shape == array.shape:
            array[:] = old[name]
            became[name] = (COPIED, "")
        else:
            raise RequestError(
                f"expected the layers of {spec.network} in the student, found others at {name}; transfer a student as "
                "distil made it, not pruned"
            )
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in made.items()})
    return policy.to_record(whole.description.provenance), became


def _parts(became: dict[str, tuple[str, str]], record: StudentRecord, freeze: Sequence[str]) -> tuple[MovedRecord, ...]:
    """Return what became of each layer.

    Raises:
        RequestError: for a layer to freeze that there is not, or that begins anew.
    """
    frozen = names_to_freeze(became, freeze)
    parts = []
    for name, arrays in layers_of(became).items():
        # The weights say more than the bias beside them.
        what, words = max((became[array] for array in arrays), key=lambda one: (COPIED, RESIZED, ANEW).index(one[0]))
        if what != COPIED and frozen.intersection(arrays):
            raise RequestError(
                f"expected a copied layer to freeze, found layer {name}, {what}; leave it out of --freeze"
            )
        title = name if name == "log_std" else f"layer {name}"
        parts.append(MovedRecord(title, what, words, bool(frozen.intersection(arrays))))
    return tuple(parts)


def _kept(places: Sequence[int | None] | None, others: str) -> str:
    """Return in words how many components were seen before, and what of the others is said."""
    n, n_kept = len(places or ()), sum(place is not None for place in places or ())
    return f"{n_kept} of {n} components kept" + (f"; the others {others}" if n_kept < n else "")


def _form(space: SpaceRecord) -> str:
    """Return a described space in words, without its bounds."""
    if space["type"] == "Dict":
        return "Dict(" + ", ".join(f"{key}: {_form(sub)}" for key, sub in space["spaces"].items()) + ")"
    size: Any = space.get("shape", space.get("n", space.get("nvec")))
    return f"{space['type']}({', '.join(map(str, size)) if isinstance(size, list | tuple) else size})"


def _bounds_words(before: ActionMap, now: ActionMap) -> str:
    """Return in words that actions have other bounds or begin elsewhere; nothing where they are the same."""
    one, other = before.to_json(), now.to_json()
    if one == other:
        return ""
    return f"{one['low']} to {one['high']} before, {other['low']} to {other['high']} now"
