"""Several teachers as one: all label the same states, and the student matches what they say together.

Or what one of them says: of experts each knows a part of the states, and their mean is worse than either.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from policy_distill.errors import RequestError
from policy_distill.interfaces.policies import Labels, Teacher
from policy_distill.system.foreign import asked
from policy_distill.teachers.base import BaseTeacher
from policy_distill.teachers.by_labels import predict_by_labels, ruled_out
from policy_distill.teachers.combining.alike import check_alike, one_world, shared_world
from policy_distill.teachers.combining.chooser import integers_of, within
from policy_distill.teachers.combining.combination import Combination
from policy_distill.teachers.combining.standing import MemberReturns, comparable_values
from policy_distill.teachers.kinds.keyed import KeyedTeacher


class EnsembleTeacher(BaseTeacher):
    """A mixture for one choice (mean probabilities); mean parameters for several choices, bits, continuous actions.

    Or one of them for each state, as a `Combination` says.
    """

    lacks_value = "which has the values of each member, not of what they do together"

    def __init__(self, teachers: Sequence[Teacher], combination: Combination | None = None) -> None:
        """Take teachers of one family, in one environment; by themselves they say what all of them say together.

        Raises:
            RequestError: where they differ in what they act from, act on, or are wrapped in.
        """
        self.combination = how = combination or Combination()
        if how.key:
            teachers = [KeyedTeacher(one, how.key, len(teachers)) for one in teachers]
        check_alike(teachers, how)
        first = teachers[0]
        self.takes_action_masks = any(teacher.takes_action_masks for teacher in teachers)
        self.labels_apart = all(teacher.labels_apart for teacher in teachers)
        self.acts_greedily = all(teacher.acts_greedily for teacher in teachers)
        # Every member needs a distribution of its own.
        self.samples = all(teacher.samples for teacher in teachers)
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self.family, self.action_map = first.family, first.action_map
        # Teachers with statistics of their own apply them when they label; the student measures its own.
        self.normalizer = first.normalizer if len({id(teacher.normalizer) for teacher in teachers}) == 1 else None
        self.state_dependent_std = any(teacher.state_dependent_std for teacher in teachers)
        self.env_wrappers = first.env_wrappers
        self.env_kwargs = shared_world(teachers) if how.chooses else one_world(teachers)
        self.n_params = sum(teacher.n_params for teacher in teachers)
        self.n_bytes = sum(teacher.n_bytes for teacher in teachers)
        self.standing: MemberReturns | None = None
        """What each member returns, where that says who is best; None before it was measured."""
        self.members = teachers
        self._valued = comparable_values(teachers) if how.kind == "best" and how.function is None else None
        self.provenance: dict[str, Any] = {
            "algorithm": "ensemble",
            "source": None,
            "sha256": None,
            **({"combine": how.text} if how.kind != "all" else {}),
            "members": [teacher.provenance for teacher in teachers],
        }

    @property
    def awaits_returns(self) -> bool:
        """True where it labels nothing before somebody has measured what its members return: see `with_standing`."""
        return self.combination.kind == "best" and self._valued is None and self.standing is None

    def with_standing(self, standing: MemberReturns) -> EnsembleTeacher:
        """Return a copy that knows what its members return."""
        one = self._with(self.members)
        one.standing = standing
        one.provenance["returns"] = standing.to_json()
        return one

    def calibrated(self, obs: Any) -> EnsembleTeacher:
        """Return a copy whose members are calibrated where they need it; see `ValueTeacher.calibrated`."""
        return self._with([one.calibrated(obs) for one in self.members])

    def with_calibration(self, value: Any) -> EnsembleTeacher:
        """Return a copy whose members have these calibrations, None for those that need none.

        Raises:
            ValueError: for what `calibration` never was.
        """
        own, standing = value, None
        if isinstance(value, Mapping):
            own, standing = value.get("members"), MemberReturns.from_json(value.get("returns"), len(self.members))
        pairs = zip(self.members, own or [], strict=True)
        one = self._with([one if own is None else one.with_calibration(own) for one, own in pairs])
        return one if standing is None else one.with_standing(standing)

    @property
    def calibration(self) -> Any:
        """The members' calibrations as JSON values, for a checkpoint, and what they return where that was measured."""
        own = [teacher.calibration for teacher in self.members]
        return own if self.standing is None else {"members": own, "returns": self.standing.to_json()}

    def _with(self, teachers: Sequence[Teacher]) -> EnsembleTeacher:
        one = copy.copy(self)
        one.members = teachers
        one._valued = None if self._valued is None else comparable_values(teachers)
        one.provenance = {**self.provenance, "members": [teacher.provenance for teacher in teachers]}
        return one

    def label(
        self, obs: Any, episode_starts: np.ndarray, state: Any = None, action_masks: np.ndarray | None = None
    ) -> Labels:
        """Return what the members say together, `[T, N, P]`; see `Teacher.label`."""
        states = state or [None] * len(self.members)
        labels = [
            teacher.label(obs, episode_starts, member_state, action_masks)
            for teacher, member_state in zip(self._valued or self.members, states, strict=True)
        ]
        device = labels[0].device
        params = torch.stack([one.params.to(device) for one in labels])
        together = self._chosen(params, obs, labels) if self.combination.chooses else self._together(params)
        # Also those members that take no masks must not lend a forbidden action a share.
        return Labels(ruled_out(together, action_masks), [one.state for one in labels])

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Return executed actions for one raw observation or a batch, under `action_masks` `[B, A]` where given."""
        return predict_by_labels(self, observation, state, episode_start, deterministic, action_masks)

    def _together(self, params: torch.Tensor) -> torch.Tensor:
        """Combine `[members, T, N, P]`."""
        mixture: Callable[[torch.Tensor], torch.Tensor] | None = asked(self.family, "mixture")
        averages = self.combination.kind == "mean" or mixture is None
        return params.mean(dim=0) if averages or mixture is None else mixture(params)

    def _chosen(self, params: torch.Tensor, obs: Any, labels: list[Labels]) -> torch.Tensor:
        """Return of `[members, T, N, P]` in each state those of the member that labels it, bit for bit."""
        index = torch.from_numpy(self.chosen_by(obs, labels)).to(params.device)
        return params.gather(0, index[None, ..., None].expand(1, *params.shape[1:]))[0]

    def chosen_by(self, obs: Any, labels: list[Labels]) -> np.ndarray:
        """Return which member labels each of the raw observations `[T, N, ...]`, int64 `[T, N]`.

        Raises:
            RequestError: where a function or a key names none, and where returns are needed and were not measured.
        """
        how, n_members = self.combination, len(self.members)
        if how.key:
            return within(np.asarray(obs[how.key]).astype(np.int64), n_members, f"the key {how.key}")
        told = None if how.function is None else integers_of(how.function, how.place, obs)
        if how.kind == "dispatch":
            assert told is not None, "a combination that dispatches has a key or a function"
            return within(told, n_members, f"the function {how.place}")
        if self._valued is not None:
            values = [one.value for one in labels if one.value is not None]
            return torch.stack([value.cpu() for value in values]).argmax(dim=0).numpy()
        if self.standing is None:
            raise RequestError(
                "expected a measured return of each teacher, to know the best, found none; pass the teachers to "
                "distill, compress, compare or evaluate, or measure them with "
                "policy_distill.evaluation.apart.teachers.measured"
            )
        return self.standing.best(told, labels[0].params.shape[:2])
