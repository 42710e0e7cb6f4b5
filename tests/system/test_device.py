import pytest

from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.system.device import check_device
from policy_distill.teachers.load import load_teacher
from tests.doubles import Corridor, corridor_teacher

# An index beyond all GPUs is absent on every machine, also on one that has some.
ABSENT = ["cuda:99", "gpu", "meta", ""]


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(RequestError, match=f"{name!r}.*--device cpu"):
        check_device(name)


def test_the_processor_is_always_there():
    check_device("cpu")
    check_device("cpu:0")


def test_an_absent_device_is_refused_before_the_run_folder_is_made(tmp_path):
    with pytest.raises(RequestError, match="cuda:99"):
        distill(corridor_teacher(), Corridor, "linear", device="cuda:99", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_teacher_is_not_put_on_an_absent_device(zoo):
    with pytest.raises(RequestError, match="cuda:99"):
        load_teacher(zoo / "a2c-Acrobot-v1", device="cuda:99")
