"""What a student's file says of it beside its arrays: the same values typed, from JSON and back. NumPy alone.

In: a file's record, which `check` found to make a policy, or what was trained. Out: a `Description`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from policy_distill.student.actions import ActionMap
from policy_distill.student.features import Normalizer, dump_normalizer, load_normalizer
from policy_distill.student.head import Head, read_head
from policy_distill.student.onboard.monitor import Monitor, read_monitor
from policy_distill.student.onboard.wiring import NOTHING, Wiring, read_wiring
from policy_distill.student.operations.operation import Layer
from policy_distill.student.pixels import images_of
from policy_distill.student.spaces import SpaceRecord
from policy_distill.student.view import ALL, View, read_view
from policy_distill.system.records import LIST, NUMBER, NUMBERS, OBJECT, TEXT, dump, load, part


@dataclass(frozen=True)
class NetworkSize:
    """How large a network is."""

    n_params: int = part(NUMBER)
    n_bytes: int = part(NUMBER)
    macs: int = part(NUMBER)
    """Multiply-accumulates of one observation."""


@dataclass(frozen=True)
class Architecture:
    """The network, and how large it is."""

    spec: str = part(TEXT)
    """What it was made from, such as `mlp:32,32`."""
    activation: str = part(TEXT)
    input_shape: list[int] = part(NUMBERS)
    """Of the features of one observation."""
    layers: list[Layer] = part(LIST)
    """Records of the layers, each as its operation writes it; see `policy_distill.student.operations`."""
    log_std: str | None = part(TEXT)
    """Where log σ comes from: `vector`, `head`, `dropped` (kept by no one), or None for what has none."""
    sizes: NetworkSize = part(NetworkSize, inline=True)
    memory: Mapping[str, Any] | None = part(OBJECT, left_out=True)
    """`Memory.record`; None of one that remembers nothing."""
    others: Mapping[str, Any] | None = part(OBJECT, inline=True)
    """What else a version noted."""


@dataclass(frozen=True)
class Distribution:
    """The family of the student's distribution."""

    family: str = part(TEXT)
    config: Mapping[str, Any] = part(OBJECT)
    """Arguments of the family, which may be a package's own."""
    package: str | None = part(TEXT, left_out=True)
    """The package that defines it; None for a family of ours."""


@dataclass(frozen=True, eq=False)
class Description:
    """What a student is and where it comes from, apart from its arrays; not to be changed."""

    architecture: Architecture
    distribution: Distribution
    head: Head
    """What the outputs mean."""
    observation_space: SpaceRecord
    """The described space of what it sees."""
    action_space: SpaceRecord
    normalizer: Normalizer | dict[str, Normalizer] | None
    """Statistics that observations are normalised by, by key for a Dict."""
    action_map: ActionMap
    """From the head's action to the executed one."""
    takes_action_masks: bool = False
    """True where its environment rules out actions, and the teacher was told of it."""
    images: tuple[str, ...] = ()
    """Keys of what it takes for images; "" for the whole observation."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from, as the version that wrote it said it; `StudentProvenance` reads it."""
    retention: Mapping[str, Any] | None = None
    """What it was proven to keep, as `RetentionRecord` reads it; None of what was not tested."""
    view: View = ALL
    """What it sees of what its environment shows."""
    wiring: Wiring = NOTHING
    """What its numbers are called, and how often it acts."""
    monitor: Monitor | None = None
    """What says how unlike all that it came to a step is; None of one without."""
    format_version: int | None = None
    """Of the file that it was read from; None of what was trained here."""
    sha256: str | None = None
    """The checksum of that file."""
    others: Mapping[str, Any] = field(default_factory=dict)
    """What else a version noted."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that stands in a file."""
        version = {} if self.format_version is None else {"format_version": self.format_version}
        wiring = self.wiring.to_json()
        view, seal = self.view.to_json(), {} if self.sha256 is None else {"sha256": self.sha256}
        return {
            **version,
            "architecture": dump(self.architecture),
            "distribution": dump(self.distribution),
            "head": self.head.to_json(),
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "observation_normalization": dump_normalizer(self.normalizer),
            "action_post_processing": self.action_map.to_json(),
            "takes_action_masks": self.takes_action_masks,
            "images": list(self.images),
            "provenance": self.provenance,
            "retention": self.retention,
            **({} if view is None else {"view": view}),
            **({} if wiring is None else {"wiring": wiring}),
            **({} if self.monitor is None else {"monitor": self.monitor.to_json()}),
            **self.others,
            **seal,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Description:
        """Return what the record of a file says, of any version.

        Raises:
            KeyError, TypeError, ValueError: for one that `check.check_student` refuses.
        """
        space = values["observation_space"]
        return cls(
            architecture=load(Architecture, values["architecture"], "architecture"),
            distribution=load(Distribution, values["distribution"], "distribution"),
            head=read_head(values),
            observation_space=space,
            action_space=values["action_space"],
            normalizer=load_normalizer(values["observation_normalization"], space),
            action_map=ActionMap.from_json(values["action_post_processing"]),
            takes_action_masks=values.get("takes_action_masks", False),
            images=images_of(values),
            provenance=values["provenance"],
            retention=values["retention"],
            view=read_view(values),
            wiring=read_wiring(values, space, values["action_space"]),
            monitor=read_monitor(values),
            format_version=values.get("format_version"),
            sha256=values.get("sha256"),
            others={name: value for name, value in values.items() if name not in KEYS},
        )


KEYS = frozenset(
    "format_version architecture distribution head observation_space action_space observation_normalization "
    "action_post_processing takes_action_masks images provenance retention view wiring monitor sha256".split()
)
"""What a file's record names of a student."""
