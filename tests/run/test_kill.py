import subprocess
import sys


def test_killed_runs_end_in_the_student_of_one_that_nobody_killed():
    # In a process of its own, since a fork of one that has computed with threads may wait for them for ever.
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill", "--kills", "5", "--seed", "1"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("5 kills")
