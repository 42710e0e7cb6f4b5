"""Files from elsewhere: whatever is in them, they load right or are refused in one line."""

import copyreg
import json
import logging
import pickle
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_distill.errors import RequestError
from policy_distill.teachers.files.safe_load import safe_unpickle
from tests.corpus.make import named, text
from tests.fuzzing import Readers, attempt, mutate

CORPUS = sorted(path for path in (Path(__file__).parent / "corpus").glob("*/*") if path.suffix != ".pyc")
EXAMPLES = {"teacher": 200, "cleanrl": 300, "student": 500, "report": 200}
MEMORY = 300
"""MiB that reading all of the corpus may take."""


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    logging.disable()
    yield Readers(tmp_path_factory.mktemp("readers"))
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def no_hang():
    """Turn a hang into a failure: what is read here takes milliseconds."""

    def stop(number, frame):
        raise TimeoutError("a reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(180)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


READERS = (
    "pickle",
    "vecnormalize",
    "teacher",
    "policy",
    "cleanrl",
    "weights",
    "student",
    "checkpoint",
    "layers",
    "metrics",
    "zoo",
    "config",
    "grid",
    "tasks",
    "report",
)


@pytest.mark.parametrize("name", READERS)
def test_good_files_are_read(readers, name):
    assert set(readers.readers) == set(READERS)
    for seed in readers.seeds[name]:
        if name == "pickle":
            safe_unpickle(seed, "the file")
        else:
            assert attempt(readers.readers[name], seed)


@pytest.mark.parametrize("name", READERS)
def test_a_hostile_file_is_read_right_or_refused_in_one_line(readers, name):
    @settings(
        max_examples=EXAMPLES.get(name, 1500),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32))
    def check(seed):
        rng = random.Random(seed)
        attempt(readers.readers[name], mutate(rng, name, rng.choice(readers.seeds[name])))

    check()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_did_harm_is_refused(readers, path):
    assert not attempt(readers.readers[path.parent.name], path.read_bytes())


def test_the_whole_corpus_takes_little_memory(tmp_path):
    code = (
        "import logging, resource, sys; from pathlib import Path; from tests.fuzzing import Readers, attempt\n"
        f"logging.disable(); readers = Readers(Path({str(tmp_path)!r}))\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak()\n"
        f"for path in map(Path, {[str(path) for path in CORPUS]!r}):\n"
        "    attempt(readers.readers[path.parent.name], path.read_bytes())\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < MEMORY


def call(python):
    """Push the arguments of an `exec`."""
    return text(python) + b"\x85"


EXEC = named("builtins", "exec")
ROUTES = {
    "GLOBAL and REDUCE": lambda code: b"cbuiltins\nexec\n" + call(code) + b"R.",
    "STACK_GLOBAL and REDUCE": lambda code: b"\x80\x04" + EXEC + call(code) + b"R.",
    "INST": lambda code: b"(S" + repr(code).encode() + b"\nibuiltins\nexec\n.",
    "OBJ": lambda code: b"(" + b"cbuiltins\nexec\n" + text(code) + b"o.",
    "a name from the memo": lambda code: b"\x80\x04" + EXEC + b"\x940" + b"h\x00" + call(code) + b"R.",
    "a name under a later index": lambda code: b"cbuiltins\nexec\np99\n0g99\n" + call(code) + b"R.",
    "EXT1": lambda code: b"\x82\x70" + call(code) + b"R.",
    "EXT2": lambda code: b"\x83\x70\x00" + call(code) + b"R.",
    "EXT4": lambda code: b"\x84\x70\x00\x00\x00" + call(code) + b"R.",
    "a dotted name": lambda code: b"\x80\x04" + named("collections", "_sys.modules.get") + text("builtins") + b"\x85R"
    + b"0" + EXEC + call(code) + b"R.",
    "a class whose constructor calls": lambda code: b"\x80\x04" + named("functools", "partial") + EXEC + text(code)
    + b"\x86\x81)R.",
    "NEWOBJ_EX": lambda code: b"\x80\x04" + named("functools", "partial") + EXEC + text(code) + b"\x86}\x92)R.",
    "a pickle in a pickle": lambda code: b"\x80\x04" + named("pickle", "loads") + b"C"
    + bytes([len(inner(code))]) + inner(code) + b"\x85R.",
}  # fmt: skip


def inner(code):
    return b"cbuiltins\nexec\n" + call(code) + b"R."


@pytest.fixture
def extension():
    copyreg.add_extension("builtins", "exec", 0x70)
    yield
    copyreg.remove_extension("builtins", "exec", 0x70)
    copyreg.clear_extension_cache()


@pytest.mark.parametrize("route", ROUTES)
def test_no_route_of_the_pickle_machine_runs_code(tmp_path, extension, monkeypatch, route):
    monkeypatch.chdir(tmp_path)
    attack = ROUTES[route]("open('w','w').close()")
    with pytest.raises(RequestError, match="nothing was run"):
        safe_unpickle(attack, "the file")
    assert not Path("w").exists()
    pickle.loads(attack)
    assert Path("w").exists(), "the attack is none: Python's own unpickler would not run it either"


@pytest.mark.parametrize("attack", [b"Pos\n.", b"K\x01Q."], ids=["PERSID", "BINPERSID"])
def test_outside_objects_are_refused(attack):
    with pytest.raises(RequestError, match="outside object; nothing was run"):
        safe_unpickle(attack, "the file")


def test_a_state_cannot_change_what_the_next_file_meets(readers):
    # BUILD on a name would set attributes of what stands for it.
    for module, name in (("_codecs", "encode"), ("collections", "OrderedDict"), ("numpy", "dtype")):
        attack = b"\x80\x04" + named(module, name) + b"N}" + text("__defaults__") + b"K\x01s\x86b."
        with pytest.raises(RequestError, match="damaged"):
            safe_unpickle(attack, "the file")
    good = {"a": b"bytes", "b": [1.5]}
    assert safe_unpickle(pickle.dumps(good, 2), "the file") == good


def test_the_cost_of_a_file_is_counted_over_all_its_pickles():
    from policy_distill.teachers.files.pickle_machine import Budget

    budget = Budget(instructions=100)
    safe_unpickle(pickle.dumps(list(range(40))), "the file", budget)
    with pytest.raises(RequestError, match="instructions"):
        for _ in range(3):
            safe_unpickle(pickle.dumps(list(range(40))), "the file", budget)


def test_messages_carry_nothing_that_a_terminal_obeys(tmp_path):
    from policy_distill.tracking.jsonl import read_metrics

    with pytest.raises(RequestError) as error:
        safe_unpickle(b"cevil\n\x1b[31mred\x07\n.", "the\nfile")
    assert str(error.value).isprintable()
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"time/env_steps": 1}) + '\n{"time/env_st')
    assert read_metrics(path) == [{"time/env_steps": 1}]


def test_a_pipe_is_not_waited_for(tmp_path):
    import os

    from policy_distill.student.runtime import load_student
    from policy_distill.teachers.load import load_teacher

    os.mkfifo(tmp_path / "agent.zip")
    os.mkfifo(tmp_path / "student.safetensors")
    with pytest.raises(RequestError, match="not a file"):
        load_teacher(tmp_path / "agent.zip")
    with pytest.raises(RequestError, match="device or pipe"):
        load_student(tmp_path / "student.safetensors")
