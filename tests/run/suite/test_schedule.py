"""Cells in order, tried again, left out, stopped; and what becomes of their processes."""

import json
import os
import subprocess
import sys
import time

import pytest

from policy_distill.errors import RequestError
from policy_distill.run.suite.cells import SuiteCell
from policy_distill.run.suite.ending import RECORD
from policy_distill.run.suite.local import LocalBackend, wait_until_free
from policy_distill.run.suite.suite import run_cells, suite_folder
from policy_distill.system.interrupts import Interrupted
from policy_distill.system.lock import FolderLock
from tests.run.suite.doubles import DONE, Told, script_cell, write_product

PATIENCE = 60
"""Seconds in which a process surely notices."""


def cells(folder, *names, **others):
    return [SuiteCell(name, folder / name, ("true",), own_folder=False, **others) for name in names]


def test_cells_run_so_many_at_once_and_in_their_order(tmp_path):
    backend = Told(write_product, jobs=2)
    found = run_cells(cells(tmp_path, "a", "b", "c", "d"), backend, tmp_path)
    assert [cell.name for cell in backend.started] == ["a", "b", "c", "d"]
    assert backend.most == 2
    assert [one.state for one in found] == ["done"] * 4
    assert json.loads((tmp_path / RECORD).read_text())["n_done"] == 4


def test_what_is_done_is_left_alone(tmp_path):
    first, second = cells(tmp_path, "a", "b")
    write_product(first)
    backend = Told(write_product)
    found = run_cells([first, second], backend, tmp_path)
    assert [cell.name for cell in backend.started] == ["b"]
    assert [(one.state, one.attempts) for one in found] == [("done", 0), ("done", 1)]


@pytest.mark.parametrize(("retries", "state", "attempts"), [(0, "failed", 1), (1, "failed", 2), (2, "done", 3)])
def test_a_cell_that_fails_is_tried_again_and_the_others_go_on(tmp_path, retries, state, attempts):
    left = [1, 1]

    def outcome(cell):
        return left.pop() if cell.name == "a" and left else write_product(cell)

    found = run_cells(cells(tmp_path, "a", "b"), Told(outcome), tmp_path, retries)
    assert [(one.state, one.attempts) for one in found] == [(state, attempts), ("done", 1)]


def test_cells_of_earlier_calls_stay_known(tmp_path):
    old, new = cells(tmp_path, "old", "new")
    run_cells([old], Told(write_product), tmp_path)
    run_cells([new], Told(write_product), tmp_path)
    other = [SuiteCell("old", old.folder, ("true", "--timesteps", "5"), own_folder=False)]
    with pytest.raises(RequestError, match="old started with"), suite_folder(tmp_path, other, resume=True):
        pass
    with suite_folder(tmp_path, other, overwrite=True):
        assert not old.folder.exists()
        assert not new.folder.exists()


def test_a_wrong_request_is_not_tried_again(tmp_path):
    (found,) = run_cells(cells(tmp_path, "a"), Told(lambda cell: 2), tmp_path, retries=5)
    assert (found.state, found.attempts) == ("failed", 1)


def test_a_worker_that_dies_is_no_failure_of_its_cell(tmp_path):
    deaths = ["the worker died"] * 4
    backend = Told(lambda cell: deaths.pop() if deaths else write_product(cell))
    (found,) = run_cells(cells(tmp_path, "a"), backend, tmp_path, retries=0)
    assert (found.state, found.attempts) == ("done", 5)
    (found,) = run_cells(cells(tmp_path, "b"), Told(lambda cell: "the worker died"), tmp_path, retries=0)
    assert (found.state, found.reason) == ("failed", "the worker died"), "and not for ever"


def test_a_cell_that_leaves_nothing_behind_has_failed(tmp_path):
    (found,) = run_cells(cells(tmp_path, "a"), Told(lambda cell: 0), tmp_path, retries=0)
    assert (found.state, found.reason) == ("failed", "it ended without evaluation.json")


def test_what_needs_a_cell_that_failed_is_left_out(tmp_path):
    one, other = cells(tmp_path, "a", "b")
    after, last = cells(tmp_path, "c", after=("a",)) + cells(tmp_path, "d", after=("b",))
    backend = Told(lambda cell: 2 if cell.name == "a" else write_product(cell))
    found = run_cells([one, after, other, last], backend, tmp_path)
    assert [cell.name for cell in backend.started] == ["a", "b", "d"]
    assert [one.state for one in found] == ["failed", "left out", "done", "done"]
    assert "needs a" in found[1].reason


def test_a_process_that_is_killed_is_started_again(tmp_path):
    killed = "seen = folder.with_name('seen')\nif not seen.exists():\n"
    killed += "    seen.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    (found,) = run_cells([script_cell(tmp_path / "run", killed + DONE)], LocalBackend(1), tmp_path, retries=1)
    assert (found.state, found.attempts) == ("done", 2)


def test_the_last_line_of_a_log_says_why_a_cell_failed(tmp_path):
    cell = script_cell(tmp_path / "run", "print('much'); sys.exit('the motor stalled')")
    (found,) = run_cells([cell], LocalBackend(1), tmp_path, retries=0)
    assert found.reason == "exit status 1: the motor stalled"
    assert "much" in cell.log.read_text()


STOPPABLE = """
def end(*_):
    (folder / "saved").touch(); sys.exit(130)
signal.signal(signal.SIGTERM, end)
folder.mkdir(exist_ok=True); (folder / "ready").touch()
time.sleep(600)
"""


def test_an_interruption_lets_cells_save_and_starts_no_more(tmp_path):
    running, waiting = script_cell(tmp_path / "a", STOPPABLE), script_cell(tmp_path / "b", DONE, "two")
    ready = "while not (folder.with_name('a') / 'ready').exists(): time.sleep(0.01)\n"
    asks = script_cell(tmp_path / "c", f"{ready}os.kill({os.getpid()}, signal.SIGINT); time.sleep(600)", "asks")
    with pytest.raises(Interrupted, match="0 of 3 cells") as stopped:
        run_cells([running, asks, waiting], LocalBackend(2), tmp_path)
    assert stopped.value.saved
    assert (tmp_path / "a" / "saved").exists()
    assert not (tmp_path / "b").exists()
    states = [one["state"] for one in json.loads((tmp_path / RECORD).read_text())["cells"]]
    assert states == ["stopped"] * 3


def until(condition):
    """Wait for what surely comes."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell no process that its parent died")
def test_the_cells_of_a_suite_that_is_killed_save_and_end(tmp_path):
    code = f"""
import pathlib, sys
from policy_distill.run.suite.local import LocalBackend
from policy_distill.run.suite.suite import run_cells
from tests.run.suite.doubles import script_cell
out = pathlib.Path({str(tmp_path)!r})
write_pid = "folder.with_name('pid').write_text(str(os.getpid()))\\n"
run_cells([script_cell(out / "run", write_pid + {STOPPABLE!r})], LocalBackend(1), out)
"""
    suite = subprocess.Popen([sys.executable, "-c", code])
    until((tmp_path / "run" / "ready").exists)
    pid = int((tmp_path / "pid").read_text())
    suite.kill()
    suite.wait()
    until(lambda: not is_alive(pid))
    assert (tmp_path / "run" / "saved").exists()


def test_a_folder_that_a_process_still_writes_is_waited_for(tmp_path):
    code = "import sys, time; from pathlib import Path; from policy_distill.system.lock import FolderLock\n"
    code += "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(0.3); lock.close()"
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RequestError):
        FolderLock(tmp_path)
    wait_until_free(tmp_path, PATIENCE)
    FolderLock(tmp_path).close()
    holder.communicate()


def test_a_folder_is_had_once_and_never_by_surprise(tmp_path):
    out, (cell,) = tmp_path / "out", cells(tmp_path / "out", "a")
    with suite_folder(out, [cell]):
        run_cells([cell], Told(write_product), out)
    with pytest.raises(RequestError, match="--resume or --overwrite"), suite_folder(out, [cell]):
        pass
    with suite_folder(out, [cell], resume=True):
        assert cell.done
    (other,) = [SuiteCell("a", cell.folder, ("false", "--timesteps", "3"), own_folder=False)]
    with pytest.raises(RequestError, match="settings that a started with"), suite_folder(out, [other], resume=True):
        pass
    with suite_folder(out, [cell], overwrite=True):
        assert not cell.folder.exists()
    with pytest.raises(RequestError, match=RECORD), suite_folder(tmp_path / "new", [cell], resume=True):
        pass
