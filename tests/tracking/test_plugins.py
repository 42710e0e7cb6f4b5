"""Trackers of installed packages, and of one's own."""

import json

import pytest

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.run.distill import distill
from policy_distill.tracking.base import BaseTracker, as_tracker
from policy_distill.tracking.fan_out import with_jsonl
from policy_distill.tracking.table import TRACKERS, check_track, tracker_maker
from tests.doubles import cartpole_teacher

PACKAGE = """
import json
from policy_distill.tracking.base import BaseTracker

class Lines(BaseTracker):
    def __init__(self, path):
        self.path, self.told = path, []

    def log(self, metrics, step):
        self.told.append([step, sorted(metrics)])

    def artifact(self, path, kind, metadata):
        self.told.append([kind, path.name])

    def close(self):
        self.path.write_text(json.dumps(self.told))

def start(out, config, options):
    return Lines(out / f"{config['env_id']}-{options.project}.json")

def fail(out, config, options):
    raise OSError("no such server")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with two trackers."""
    site = tmp_path / "site"
    info = site / "line_tracker-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "line_tracker.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: line-tracker\nVersion: 1.0\n")
    points = "[policy_distill.trackers]\nlines = line_tracker:start\nunreachable = line_tracker:fail\n"
    (info / "entry_points.txt").write_text(points + "broken = line_tracker:nothing\n")
    monkeypatch.syspath_prepend(site)


def test_a_run_is_tracked_by_a_package_that_is_named(package, tmp_path):
    quick = {"timesteps": 256, "n_steps": 32, "eval_episodes": 0}
    track = {"mode": "lines", "project": "mine"}
    distill(cartpole_teacher(), "CartPole-v1", "linear", track=track, out=tmp_path / "run", **quick)
    told = json.loads((tmp_path / "run" / "CartPole-v1-mine.json").read_text())
    assert told[-1] == ["student", "student.safetensors"]
    assert told[0][0] == 256 and "train/loss" in told[0][1]


def test_the_command_line_takes_its_name_and_refuses_others_before_it_does_anything(package, tmp_path, capfd):
    out = tmp_path / "run"
    wrong = ["distill", "--teacher", "none.zip", "--out", str(out), "--track", "lime"]
    assert main(wrong) == 2
    said = capfd.readouterr().err
    assert "found 'lime'" in said and "offline, online, trackio, disabled, broken, lines, unreachable" in said
    assert main([*wrong[:-1], "lines"]) == 2
    assert "none.zip" in capfd.readouterr().err, "the tracker is there, the teacher is not"
    for command in (["evaluate", "none.zip"], ["compare", "none.zip", "none.safetensors"]):
        assert main([*command, "--track", "lime"]) == 2
        assert "found 'lime'" in capfd.readouterr().err


def test_a_package_that_cannot_start_costs_a_warning_and_one_that_is_broken_the_request(package, tmp_path, caplog):
    assert tracker_maker("unreachable")(tmp_path, {}) is None
    assert "unreachable could not start (OSError: no such server)" in caplog.text
    with pytest.raises(RequestError, match="line-tracker"):
        check_track("broken")


def test_without_the_package_its_name_is_unknown():
    with pytest.raises(RequestError, match=r"expected to track by one of .*trackio, disabled"):
        tracker_maker("lines")


@pytest.mark.parametrize("name", TRACKERS)
def test_every_tracker_of_the_table_can_be_asked_for(name):
    assert tracker_maker(name, project="p", group="g", tags=("x",), gradients=True) is not None


def test_what_a_tracker_of_ones_own_has_is_used_and_what_it_lacks_is_not_missed(tmp_path):
    class Own:
        wants_gradients = True
        wants_history = True

        def __init__(self):
            self.told = []

        def log(self, metrics, step):
            self.told.append((step, metrics))

        def histograms(self, arrays, step):
            self.told.append((step, arrays))

    first = with_jsonl(None, tmp_path / "metrics.jsonl")
    first.log({"train/loss": 1.0}, 5)
    first.close()
    own = Own()
    sinks = with_jsonl(own, tmp_path / "metrics.jsonl", 5)
    assert sinks.wants_gradients
    sinks.histograms({"gradients/w": [1.0]}, 6)
    sinks.sync()
    sinks.summary({})
    sinks.close()
    assert own.told == [(5, {"train/loss": 1.0}), (6, {"gradients/w": [1.0]})]


def test_one_that_cannot_log_is_refused():
    with pytest.raises(RequestError, match=r"expected a tracker with log\(metrics, step\), found object"):
        as_tracker(object())


def test_by_itself_a_tracker_wants_nothing_and_keeps_nothing(tmp_path):
    base = BaseTracker()
    assert (base.wants_gradients, base.wants_history) == (False, False)
    for call in (base.sync, base.close, lambda: base.summary({}), lambda: base.artifact(tmp_path, "student", {})):
        assert call() is None
    with pytest.raises(NotImplementedError):
        base.log({}, 0)
