"""Shared fixtures."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def zoo() -> Path:
    """The folder of pre-trained agents, named by POLICY_DISTILL_ZOO."""
    folder = os.environ.get("POLICY_DISTILL_ZOO")
    if not folder:
        pytest.skip("POLICY_DISTILL_ZOO names no folder of pre-trained agents")
    return Path(folder)
