"""What was written elsewhere, adapted where it comes in: a teacher of one's own, or any object with `predict`.

In: the object. Out: a `Teacher` or a `Policy` with all that the contracts have: what the object says of itself, else
the defaults. Nobody behind here asks what is there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from policy_distill.collection.policy_defaults import NOTHING, PolicyDefaults
from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Labels, Policy, Teacher
from policy_distill.student.runtime import Student
from policy_distill.system.foreign import asked, said
from policy_distill.teachers.base import BaseTeacher

OWN = ("label", "family", "action_map")
"""What only a teacher has: whoever wrote one of these meant more than a script."""

NEEDED = (
    "action_map action_space env_wrappers family label n_bytes n_params normalizer observation_space predict "
    "provenance state_dependent_std"
).split()
"""What only the teacher itself can say."""

MAY_SAY = (
    *("acts_greedily", "asked_for", "discount", "env_kwargs", "exploration", "fixed", "labels_apart", "members"),
    *("again", "scales_images"),
)
"""What has a default."""

OF_A_POLICY = ("action_space", "again", "env_kwargs", "env_wrappers", "metadata", "n_params", "observation_space")
"""What may be known of an object with `predict`; `provenance` too."""


def missing_of(source: Any) -> list[str]:
    """Return what an object lacks that is meant to be a `Teacher`; nothing for any other object.

    Taken for a script, its distributions would be lost without a word.
    """
    return sorted(name for name in NEEDED if asked(source, name, NOTHING) is NOTHING) if said(source, *OWN) else []


def teacher_from(source: Any) -> Teacher | None:
    """Return an object that labels as a `Teacher`; None for any other object.

    Raises:
        RequestError: for one that is meant to be a teacher and lacks something.
    """
    if isinstance(source, BaseTeacher):
        teacher: Any = source
        return teacher
    if lacking := missing_of(source):
        raise RequestError(
            f"expected a teacher as of policy_distill.interfaces.Teacher, found {type(source).__name__} without "
            f"{', '.join(lacking)}; add what is missing, or pass an object with only predict for hard labels"
        )
    return OutsideTeacher(source) if said(source, "label") else None


def policy_from(source: Any) -> Policy:
    """Return an object with `predict` as a `Policy`; what is one already as it is."""
    if isinstance(source, PolicyDefaults | Student):
        policy: Any = source
        return policy
    return OutsidePolicy(source) if missing_of(source) or not said(source, "label") else OutsideTeacher(source)


class OutsideTeacher(BaseTeacher):
    """A teacher that was written elsewhere; one whose `label` returns a pair (params, state) does as well."""

    def __init__(self, source: Any) -> None:
        self.source = source
        vars(self).update({name: asked(source, name) for name in NEEDED if name not in ("label", "predict")})
        self.scales_images = scales_images(asked(source, "policy"))
        vars(self).update(said(source, *MAY_SAY))
        samples = asked(source, "samples", not self.acts_greedily)
        self.samples = bool(samples) and self.family.has_density
        self.takes_action_masks = takes_masks(source)

    @property
    def calibration(self) -> Any:
        """What the object says."""
        return asked(self.source, "calibration")

    def calibrated(self, obs: Any) -> OutsideTeacher:
        """Return the object's calibrated copy, or itself where it calibrates nothing."""
        return self._copy("calibrated", obs)

    def with_calibration(self, value: Any) -> OutsideTeacher:
        """Return the object's copy with a calibration that is known, or itself where it has none."""
        return self._copy("with_calibration", value)

    def with_values(self) -> OutsideTeacher:
        """Return the object's copy that says values; itself where it has no such thing, and labels say them or not."""
        return self._copy("with_values")

    def weights(self) -> Mapping[str, torch.Tensor] | None:
        """Return the weights of its `policy`, where that is a network."""
        return weights_of(asked(self.source, "policy"))

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Return what the object says; see `Teacher.label`."""
        found = self.source.label(obs, episode_starts, state, action_masks)
        return found if isinstance(found, Labels) else Labels(*found)

    def predict(self, *arguments: Any, **options: Any) -> tuple[np.ndarray, Any]:
        """Return what the object does; see `Actor.predict`."""
        found: tuple[np.ndarray, Any] = self.source.predict(*arguments, **options)
        return found

    def _copy(self, method: str, *arguments: Any) -> OutsideTeacher:
        own = asked(self.source, method)
        # That of a teacher inside, to which the object passes questions on, would return that one alone.
        if own is None or asked(own, "__self__", self.source) is not self.source:
            return self
        return OutsideTeacher(own(*arguments))


class OutsidePolicy(PolicyDefaults):
    """Any object with `predict`."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.predict: Callable[..., Any] = source.predict
        vars(self).update(said(source, *OF_A_POLICY, "provenance"))
        # What says a distribution of raw observations normalises by itself.
        self.takes_raw = bool(said(source, "label", "distribution_params"))
        self.takes_action_masks = takes_masks(source)


def weights_of(network: Any) -> Mapping[str, torch.Tensor] | None:
    """Return the weights of a torch module; None for what is none."""
    state_dict = asked(network, "state_dict")
    return None if state_dict is None else state_dict()


def scales_images(network: Any) -> bool:
    """Say whether a network divides bytes of images by 255, as SB3's do unless they say otherwise."""
    return bool(asked(network, "normalize_images", True))


def takes_masks(source: Any) -> bool:
    """Say whether an object takes action masks: by its own word, else by the arguments of its `predict`.

    One that does not say is not taken for one that does not: sb3-contrib's MaskablePPO as it is says nothing either.
    """
    told = asked(source, "takes_action_masks")
    return "action_masks" in inspect.signature(source.predict).parameters if told is None else bool(told)
