"""The student while it trains: network, log σ and normaliser in one `nn.Module`.

In: a specification and what the teacher is like. Out: distribution parameters `[B, P]`, and the student that acts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from policy_distill.families.table import describe_family, make_family
from policy_distill.interfaces.policies import Teacher
from policy_distill.interfaces.students import ActionDistribution
from policy_distill.networks.table import describe_layers, make_network
from policy_distill.student.actions import ActionMap
from policy_distill.student.engines.torch_layers import ScaleLayer
from policy_distill.student.engines.torch_module import modules_of
from policy_distill.student.features import Featurizer, Normalizer, dump_normalizer, load_normalizer
from policy_distill.student.head import Head
from policy_distill.student.pixels import images_for, images_of, is_image, largest
from policy_distill.student.record import StudentRecord, sizes_of
from policy_distill.student.sampling import require_spread
from policy_distill.student.spaces import describe_space
from policy_distill.student.view import ALL, View


@dataclass(frozen=True)
class StudentSpec:
    """What a student is, apart from its weights."""

    network: str
    """Specification such as `mlp:32,32`."""
    activation: str
    """`tanh` or `relu`."""
    family: ActionDistribution
    """The distribution that it acts from, the teacher's own family."""
    log_std: str | None
    """`vector` (one for all states), `head` (an output of the network), or None for families without."""
    observation_space: dict[str, Any]
    """As of `describe_space`; raw observations."""
    action_space: dict[str, Any]
    """As of `describe_space`; executed actions."""
    action_map: ActionMap
    """From the family's actions to executed ones."""
    normalizer: Normalizer | dict[str, Normalizer] | None
    """Observation statistics, applied inside."""
    takes_action_masks: bool = False
    """The environment rules out actions."""
    images: tuple[str, ...] | None = None
    """Keys of pixels, as of `pixels.images_for`, which None asks."""
    view: View = ALL
    """What it sees of an observation; `observation_space` has no other keys."""

    @property
    def head(self) -> Head:
        """What the network's outputs mean."""
        return replace(self.family.head, extra=0) if self.log_std == "vector" else self.family.head

    @property
    def featurizer(self) -> Featurizer:
        """From raw observations to what the network takes."""
        space = self.observation_space
        images = images_for(space, self.network) if self.images is None else self.images
        return Featurizer(space, self.normalizer, images, self.view.components)

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return self.head.n_outputs

    @classmethod
    def like(
        cls,
        teacher: Teacher,
        network: str,
        activation: str,
        normalizer: Normalizer | dict[str, Normalizer] | None,
        observation_space: Any = None,
        view: View = ALL,
    ) -> StudentSpec:
        """Return the specification of a student for `teacher`: its family and post-processing, and its spaces.

        `observation_space` is the environment's own, which may differ from the teacher's in the order of an image's
        dimensions, or be only some keys of a Dict; `view` is what the student sees of it, by itself all.
        """
        log_std, space = None, observation_space or teacher.observation_space
        if teacher.family.has_log_std:
            log_std = "head" if teacher.state_dependent_std else "vector"
        return cls(
            network=network,
            activation=activation,
            family=teacher.family,
            log_std=log_std,
            observation_space=describe_space(space),
            action_space=describe_space(teacher.action_space),
            action_map=teacher.action_map,
            normalizer=normalizer,
            takes_action_masks=teacher.takes_action_masks,
            images=images_like(teacher, network, space),
            view=view,
        )


def images_like(teacher: Teacher, network: str, observation_space: Any) -> tuple[str, ...]:
    """Return the keys whose bytes a student of that network takes as pixels, as its teacher does where it says so."""
    return images_for(describe_space(observation_space), network, scaled=teacher.scales_images)


class StudentPolicy(nn.Module):
    """A trainable student: `forward` takes raw observations, `params` features. Its network is new unless given."""

    def __init__(self, spec: StudentSpec, generator: torch.Generator, network: nn.Sequential | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.featurizer = spec.featurizer
        self.network = self._build(generator) if network is None else network
        self.log_std = nn.Parameter(torch.zeros(spec.n_outputs)) if spec.log_std == "vector" else None

    def _build(self, generator: torch.Generator) -> nn.Sequential:
        spec = self.spec
        network = make_network(spec.network, spec.activation).build(self.featurizer.shape, spec.n_outputs, generator)
        if self.featurizer.is_image and not is_image(spec.observation_space):
            first = network[0]
            assert isinstance(first, ScaleLayer), "networks of images begin so"
            first.factor = 1.0 / largest(spec.observation_space)
        if spec.head.kind == "mean" and spec.action_map.kind == "unsquash":
            # A squashed teacher's action never leaves [-1, 1]; neither may the student's.
            network.append(nn.Tanh())
        return network

    def forward(self, obs: Any) -> torch.Tensor:
        """Return distribution parameters `[B, P]` for a batch of raw observations (arrays or tensors)."""
        device = next(self.parameters()).device
        arrays = {k: _numpy(v) for k, v in obs.items()} if isinstance(obs, dict) else _numpy(obs)
        return self.params(torch.from_numpy(self.featurizer(arrays)).to(device))

    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return distribution parameters `[B, P]` for features `[B, D]` as the featurizer makes them."""
        outputs = self.network(features)
        if self.log_std is None:
            return outputs
        return torch.cat([outputs, self.log_std.expand_as(outputs)], dim=1)

    @torch.no_grad()
    def start_at(self, teacher_params: torch.Tensor) -> None:
        """Set log σ to the teacher's mean over `[B, P]` labels: it scales every gradient of a Gaussian."""
        if self.log_std is not None:
            self.log_std.copy_(teacher_params[:, self.spec.n_outputs :].mean(dim=0))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return copies of the parameters by name, float32."""
        return {name: _numpy(value).copy() for name, value in self.state_dict().items()}

    def to_record(self, provenance: dict[str, Any], retention: dict[str, Any] | None = None) -> StudentRecord:
        """Return what the student's file will hold, with the weights as they are now."""
        tensors, spec = self.tensors(), self.spec
        layers = [*spec.view.select(), *describe_layers(self.network, self.featurizer.shape)]
        architecture = {
            "spec": spec.network,
            "activation": spec.activation,
            "input_shape": list(replace(spec, view=ALL).featurizer.shape),
            "layers": layers,
            "log_std": spec.log_std,
            **sizes_of(layers, tensors),
        }
        metadata = {
            "architecture": architecture,
            "distribution": describe_family(spec.family),
            "head": spec.head.to_json(),
            "observation_space": spec.observation_space,
            "action_space": spec.action_space,
            "observation_normalization": dump_normalizer(spec.normalizer),
            "action_post_processing": spec.action_map.to_json(),
            "takes_action_masks": spec.takes_action_masks,
            "images": list(self.featurizer.images),
            "provenance": provenance,
            "retention": retention,
        }
        return StudentRecord(tensors, metadata)

    @classmethod
    def from_record(cls, record: StudentRecord) -> StudentPolicy:
        """Rebuild a trainable student from what its file holds: its layers, with an output for every logit.

        Raises:
            RequestError: for a student without log σ, a layer that cannot be trained, or an unknown family.
        """
        require_spread(record)
        metadata = record.metadata
        architecture, distribution = metadata["architecture"], metadata["distribution"]
        spec = StudentSpec(
            network=architecture["spec"],
            activation=architecture["activation"],
            family=make_family(distribution["family"], distribution["config"]),
            log_std=architecture["log_std"],
            observation_space=metadata["observation_space"],
            action_space=metadata["action_space"],
            action_map=ActionMap.from_json(metadata["action_post_processing"]),
            normalizer=load_normalizer(metadata["observation_normalization"], metadata["observation_space"]),
            takes_action_masks=metadata.get("takes_action_masks", False),
            images=images_of(metadata),
        )
        policy = cls(spec, torch.Generator(), nn.Sequential(*modules_of(record.plan.layers, _with_all_logits(record))))
        if policy.log_std is not None:
            policy.log_std.data.copy_(torch.from_numpy(record.tensors["log_std"]))
        return policy


def _with_all_logits(record: StudentRecord) -> dict[str, np.ndarray]:
    head, last = record.plan.head, [layer for layer in record.plan.layers if "weight" in layer][-1:]
    rows = {one[key]: head.all_rows(record.tensors[one[key]]) for one in last for key in ("weight", "bias")}
    return {**record.tensors, **rows}


def _numpy(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
