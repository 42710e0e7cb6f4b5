import subprocess
import sys

import pytest

import policy_distill
from policy_distill.system.announced import HOMES, announced


@pytest.mark.parametrize("name", sorted(HOMES))
def test_every_function_that_is_announced_is_at_home_there(name):
    assert callable(announced(name))


@pytest.mark.parametrize("name", policy_distill.__all__)
def test_every_public_name_is_at_home_where_the_root_says(name):
    assert getattr(policy_distill, name).__module__ == policy_distill._HOMES[name]


def test_announcing_imports_nothing_of_what_it_names():
    code = "import sys, policy_distill; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "policy_distill.system.announced" in found
    assert not {home.partition(":")[0] for home in HOMES.values()} & set(found)
    assert "torch" not in found and "numpy" not in found
