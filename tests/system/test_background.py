import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from policy_distill.errors import RunFault
from policy_distill.system.background import Background, has_idle_core


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


class Odd(Exception):
    """Cannot be made again from its message alone, as unpickling does."""

    def __init__(self, one, other):
        super().__init__(f"{one} of {other}")


def test_an_exception_that_cannot_be_sent_is_raised_as_it_is():
    def fail(say):
        raise Odd(1, 2)

    with pytest.raises(Odd, match="1 of 2"):
        Background(fail, forked=True).result()


def test_a_call_that_needs_processes_of_its_own_is_made_here():
    def use_process(say):
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0,))
        process.start()
        process.join()
        return process.exitcode

    assert Background(use_process, forked=True).result() == 0


@pytest.mark.parametrize("forked", [True, False])
def test_it_says_how_far_it_is(forked):
    def count(say):
        for done in range(3):
            time.sleep(0.25)
            say(done)
        return "done"

    heard = []
    assert Background(count, forked=forked).result(heard.append) == "done"
    assert heard == sorted(heard)
    assert heard[-1] == 2


def test_a_word_that_nobody_reads_does_not_stop_the_call():
    def talk(say):
        for done in range(200_000):
            say(done)
        return "done"

    background = Background(talk, forked=True)
    assert background._inbox.poll(30)
    assert background.result() == "done"


def test_whoever_waits_may_end_the_wait_before_there_is_news():
    def stop(done):
        raise KeyboardInterrupt

    background = Background(lambda say: time.sleep(60), forked=True)
    pid = background._process.pid
    with pytest.raises(KeyboardInterrupt):
        background.result(stop)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


ABANDONED = """
import os
from policy_distill.system.background import Background, has_idle_core
background = Background(lambda say: bytes(2**20), forked=True)
os.kill(os.getpid(), 9)
"""


def test_a_process_whose_parent_was_killed_ends():
    # Its copy of our pipe is closed when it is gone, and only then is all of the output there.
    done = subprocess.run([sys.executable, "-c", ABANDONED], stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == -9


def pid_of_call(_):
    return Background(lambda say: os.getpid(), forked=has_idle_core()).result() == os.getpid()


def test_a_worker_of_a_pool_makes_the_call_itself():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(pid_of_call, [0]) == [True]


def test_where_no_process_can_be_started_the_call_is_made_here(monkeypatch):
    def refuse():
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    assert Background(lambda say: os.getpid(), forked=True).result() == os.getpid()


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
        "import os, time; from policy_distill.system.background import Background\n"
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
