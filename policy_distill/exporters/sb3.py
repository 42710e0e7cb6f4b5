"""`sb3`: a PPO zip that starts as the student, for `learn`, `evaluate_policy`, the Zoo and the hub.

In: a student. Out: the zip, and its actions as Stable-Baselines3 gives them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import PPO

from policy_distill.exporters.parity import Reference
from policy_distill.exporters.sb3_model import Spaces, to_sb3
from policy_distill.interfaces.students import Run
from policy_distill.student.bits.quantization import QuantizedLayer
from policy_distill.student.record import StudentRecord

RECORD = "policy_distill.json"


def write(
    student: StudentRecord,
    path: Path,
    record: Mapping[str, Any],
    reference: Reference,
    quantized: Mapping[int, QuantizedLayer] | None = None,
) -> dict[str, Any]:
    """Write the zip; SB3 reads past the record in it."""
    to_sb3(student, Spaces(student)).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(RECORD, json.dumps(record))
    return {}


def open_artefact(student: StudentRecord, path: Path) -> Run:
    """Return the function from a batch of raw observations to executed actions, through SB3's own loading."""
    model = PPO.load(path, device="cpu")

    def run(obs: Any, action_masks: np.ndarray | None = None, episode_starts: np.ndarray | None = None) -> np.ndarray:
        assert action_masks is None and episode_starts is None, "PPO takes none"
        # Bits come as floats from SB3; environments take either.
        return model.predict(obs, deterministic=True)[0].astype(student.plan.action_map.dtype)

    return run
