"""The table of a race, and how it stands above the bar on a terminal."""

import io
import os
import pty
import re
import subprocess
import sys
from types import SimpleNamespace

from rich.console import Console

from policy_distill.compression.candidates import Candidate
from policy_distill.compression.judge import Kept
from policy_distill.compression.standings import MOST, standings

RACE = """
import sys
from policy_distill import compress
from tests.doubles import Corridor, corridor_teacher
settings = dict(timesteps=512, n_steps=16, n_envs=4, eval_episodes=20)
say = lambda line: print("said:", line, file=sys.stderr)
compress(corridor_teacher(), Corridor, students=["linear", "mlp:2"], progress=True, say=say, **settings)
"""


def race_of(n):
    """Return what a table needs of a race of `n` networks, one of them judged."""
    running = [Candidate(f"mlp:{i + 1}", 10 * (i + 1), 40 * (i + 1), i, float(i)) for i in range(n)]
    return SimpleNamespace(
        running=running,
        candidates=[*running, Candidate("mlp:64", 640, 2560, 640, 640.0)],
        kept={"mlp:2": Kept(0.957, 0.012, 10, 0, 1.0)},
        bar=0.95,
        best=lambda spec, n: [0, 1, 2],
        population=SimpleNamespace(members=range(40)),
        stream=SimpleNamespace(env_steps=12_288),
        judge=SimpleNamespace(env_steps=4_000),
    )


def drawn(race):
    console = Console(file=io.StringIO(), width=100)
    console.print(standings(race))
    return console.file.getvalue()


def test_the_table_shows_who_is_left_what_they_cost_and_what_they_kept():
    text = drawn(race_of(3))
    assert "3 of 4 students" in text and "95.0%" in text
    assert re.search(r"mlp:2\W+20\W+80\W+0\.957 ± 0\.012\W+3", text)
    assert "12,288 steps collected, 4,000 for choosing" in text


def test_a_long_race_shows_its_cheapest():
    text = drawn(race_of(MOST + 3))
    assert f"mlp:{MOST} " in text and f"mlp:{MOST + 1} " not in text
    assert "and 3 larger" in text


def in_a_terminal(code):
    """Return what a program shows on a terminal of its own as stderr."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": "110", "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdin=subprocess.DEVNULL, env=env)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        # How Linux says that the other end has closed.
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))


def test_on_a_terminal_the_table_stands_above_the_bar_and_lines_go_by():
    text = in_a_terminal(RACE)
    assert "still in the race: 2 of 2 students" in text
    assert re.search(r"compressing\s+━", text)
    assert "said: linear: 3 parameters keep" in text
