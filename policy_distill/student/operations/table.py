"""The operations by name."""

from __future__ import annotations

from policy_distill.errors import RequestError
from policy_distill.student.operations.conv2d import CONV2D
from policy_distill.student.operations.flatten import FLATTEN
from policy_distill.student.operations.gru import GRU
from policy_distill.student.operations.history import HISTORY
from policy_distill.student.operations.image import IMAGE
from policy_distill.student.operations.linear import LINEAR
from policy_distill.student.operations.operation import Operation
from policy_distill.student.operations.relu import RELU
from policy_distill.student.operations.scale import SCALE
from policy_distill.student.operations.select import SELECT
from policy_distill.student.operations.tanh import TANH
from policy_distill.student.operations.tree import TREE
from policy_distill.system.plugins import OPERATIONS as GROUP
from policy_distill.system.plugins import load_plugin

ALL = (LINEAR, CONV2D, TANH, RELU, SCALE, FLATTEN, SELECT, IMAGE, TREE, GRU, HISTORY)
OPERATIONS = {one.name: one for one in ALL}


def find_operation(name: str) -> Operation:
    """Return the operation of that name: ours, or of an installed package.

    Raises:
        RequestError: for an unknown one.
    """
    if name in OPERATIONS:
        return OPERATIONS[name]
    found = load_plugin(GROUP, name)
    if found is None:
        raise RequestError(
            f"expected layers among {', '.join(OPERATIONS)}, found one of the unknown kind {name[:40]!r}; "
            "install the package that defines it"
        )
    operation: Operation = found
    return operation
