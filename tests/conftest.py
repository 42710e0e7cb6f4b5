"""Shared fixtures."""

import os
import shutil
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


def pytest_collection_modifyitems(items):
    """Leave out what checks a page of format web where Node.js is not installed, which the format needs."""
    if shutil.which("node") is None:
        for item in items:
            if any(part in item.nodeid for part in ("[web", "-web]", "test_web_page")):
                item.add_marker(pytest.mark.skip(reason="no node here"))
