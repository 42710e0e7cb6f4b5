import os
import signal
import subprocess
import sys

import pytest

from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.system.lock import NAME, FolderLock
from tests.doubles import Corridor, corridor_teacher

HOLDER = """
import sys, time
from pathlib import Path
from policy_distill.system.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def run(out, **options):
    return distill(corridor_teacher(), Corridor, "linear", timesteps=64, n_steps=8, eval_episodes=0, out=out, **options)


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}], ids=str)
def test_a_folder_that_another_process_works_in_is_refused_and_stays_as_it_is(tmp_path, held, options):
    (tmp_path / "config.json").write_text("{}" if options else "")
    if not options:
        (tmp_path / "config.json").unlink()
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RequestError, match="another process"):
        run(tmp_path, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path, held):
    os.kill(held.pid, signal.SIGKILL)
    held.wait()
    assert (tmp_path / NAME).exists()
    run(tmp_path)
    assert (tmp_path / "student.safetensors").exists() and not (tmp_path / NAME).exists()


def test_a_lock_that_was_let_go_can_be_taken(tmp_path):
    FolderLock(tmp_path).close()
    FolderLock(tmp_path).close()
    assert not (tmp_path / NAME).exists()
