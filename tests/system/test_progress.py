import io
import sys

import pytest

from policy_distill.system.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("stream", "enabled"), [(io.StringIO, True), (Terminal, False)])
def test_without_a_terminal_or_when_told_so_nothing_is_drawn(monkeypatch, stream, enabled):
    monkeypatch.setattr(sys, "stderr", stream())
    with Progress(100, enabled=enabled) as bar:
        bar.update(100, {"train/kl": 0.1})
        with bar.phase("proof", 10) as done:
            done(10)
    assert sys.stderr.getvalue() == ""


def test_on_a_terminal_steps_return_and_kl_are_shown(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm")
    with Progress(100, description="distilling") as bar:
        bar.update(100, {"train/kl": 0.1234, "rollout/student_return": 42.0})
        with bar.phase("proof", 10) as done:
            done(10)
    text = sys.stderr.getvalue()
    for shown in ("distilling", "100/100", "KL 0.1234", "return 42.0", "proof", "10/10"):
        assert shown in text
