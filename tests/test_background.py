import os
import subprocess
import sys
import time

import pytest

from policy_distill.background import Background
from policy_distill.errors import RunFault


def test_a_forked_call_runs_beside_this_process():
    background = Background(lambda say: os.getpid(), forked=True)
    assert background.result() != os.getpid()
    assert Background(lambda say: os.getpid(), forked=False).result() == os.getpid()


@pytest.mark.parametrize("forked", [True, False])
def test_what_the_call_raises_is_raised_where_it_is_asked_for(forked):
    def fail(say):
        raise RunFault("the environment died")

    with pytest.raises(RunFault, match="the environment died"):
        Background(fail, forked=forked).result()


@pytest.mark.parametrize("forked", [True, False])
def test_it_says_how_far_it_is(forked):
    def count(say):
        for done in range(3):
            time.sleep(0.25)
            say(done)
        return "done"

    heard = []
    assert Background(count, forked=forked).result(heard.append) == "done"
    assert heard == [0, 1, 2]


def test_a_process_that_died_is_made_up_for():
    here = os.getpid()

    def die_elsewhere(say):
        if os.getpid() != here:
            os._exit(9)
        return "made here"

    assert Background(die_elsewhere, forked=True).result() == "made here"


def test_a_closed_one_leaves_no_process():
    background = Background(lambda say: time.sleep(60), forked=True)
    pid = background._process.pid
    background.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_whose_parent_was_killed_ends_quietly():
    code = (
        "import os, time; from policy_distill.background import Background\n"
        "def call(say):\n"
        "    print(os.getpid(), flush=True)\n"
        "    while True:\n"
        "        time.sleep(0.05); say(1)\n"
        "b = Background(call, forked=True); time.sleep(1.0); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    # Both streams are read to their ends, so that the process beside it has ended too.
    assert done.returncode == -9
    assert done.stderr == ""
