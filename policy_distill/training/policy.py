"""The student while it trains: network, log σ and normaliser in one `nn.Module`.

In: a specification and what the teacher is like. Out: distribution parameters `[B, P]`, and the student that acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from policy_distill.families.table import describe_family, make_family
from policy_distill.networks.table import describe_layers
from policy_distill.student.description import Architecture, Description
from policy_distill.student.engines.torch_layers import ScaleLayer
from policy_distill.student.engines.torch_module import modules_of
from policy_distill.student.memory import memory_of
from policy_distill.student.pixels import is_image, largest
from policy_distill.student.record import StudentRecord, sizes_of, with_all_logits
from policy_distill.student.sampling import require_spread
from policy_distill.training.spec import StudentSpec


class StudentPolicy(nn.Module):
    """A trainable student: `forward` takes raw observations, `params` features. Its network is new unless given."""

    def __init__(self, spec: StudentSpec, generator: torch.Generator, network: nn.Sequential | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.featurizer = spec.featurizer
        self.network = self._build(generator) if network is None else network
        self.log_std = nn.Parameter(torch.zeros(spec.n_outputs)) if spec.log_std == "vector" else None
        self._known: tuple[Any, StudentRecord] | None = None
        """What the network was made of when its record was first made, of which all but the weights stays."""

    def _build(self, generator: torch.Generator) -> nn.Sequential:
        spec = self.spec
        network = spec.body.build(self.featurizer.shape, spec.n_outputs, generator)
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
        return self.params(torch.from_numpy(self.featurizer(self.spec.view.narrow(arrays))).to(device))

    def params(self, features: torch.Tensor) -> torch.Tensor:
        """Return distribution parameters `[B, P]` for features `[B, D]`, of one with a memory as an episode's first."""
        return self.params_of(self.network(features))

    def params_of(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return distribution parameters `[B, P]` for outputs of the network."""
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

    def to_record(self, provenance: Mapping[str, Any], retention: Mapping[str, Any] | None = None) -> StudentRecord:
        """Return what the student's file will hold, with the weights as they are now."""
        tensors = self.tensors()
        made_of = list(self.network.modules()), {name: array.shape for name, array in tensors.items()}
        if self._known is None or self._known[0] != made_of:
            self._known = made_of, StudentRecord(tensors, self._described(tensors))
        return self._known[1].with_weights(tensors, provenance, retention)

    def _described(self, tensors: dict[str, np.ndarray]) -> Description:
        """Return what the file says of the student, apart from where it comes from and what it keeps."""
        spec = self.spec
        layers = describe_layers(self.network, self.featurizer.shape)
        architecture = Architecture(
            spec=spec.network,
            activation=spec.activation,
            input_shape=list(self.featurizer.shape),
            layers=layers,
            log_std=spec.log_std,
            sizes=sizes_of(layers, tensors),
            memory=memory_of(layers, tensors, self.featurizer.shape).record(),
        )
        return Description(
            architecture=architecture,
            distribution=describe_family(spec.family),
            head=spec.head,
            observation_space=spec.observation_space,
            action_space=spec.action_space,
            normalizer=spec.normalizer,
            action_map=spec.action_map,
            takes_action_masks=spec.takes_action_masks,
            images=self.featurizer.images,
            view=spec.view,
            wiring=spec.wiring,
        )

    @classmethod
    def from_record(cls, record: StudentRecord) -> StudentPolicy:
        """Rebuild a trainable student from what its file holds: its layers, with an output for every logit.

        Raises:
            RequestError: for a student without log σ, a layer that cannot be trained, or an unknown family.
        """
        require_spread(record)
        said = record.description
        spec = StudentSpec(
            network=said.architecture.spec,
            activation=said.architecture.activation,
            family=make_family(said.distribution.family, said.distribution.config),
            log_std=said.architecture.log_std,
            observation_space=said.observation_space,
            action_space=said.action_space,
            action_map=said.action_map,
            normalizer=said.normalizer,
            takes_action_masks=said.takes_action_masks,
            images=said.images,
            view=said.view,
            wiring=said.wiring,
        )
        policy = cls(spec, torch.Generator(), nn.Sequential(*modules_of(record.plan.layers, with_all_logits(record))))
        if policy.log_std is not None:
            policy.log_std.data.copy_(torch.from_numpy(record.tensors["log_std"]))
        return policy


def _numpy(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
