import json

import pytest

from policy_distill.cli import main
from policy_distill.errors import RunFault
from policy_distill.tracking import dashboard
from policy_distill.tracking.metrics import METRICS

# Steps are the axis of all; each other metric is on a panel but for the ends of an interval already drawn.
NOT_DRAWN = {"time/env_steps", "eval/retention_high"}

# W&B's own library is not warning-free.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_a_key_the_specification_is_written(offline, tmp_path, capfd):
    assert main(["dashboard", "--project", "lander", "--out", str(tmp_path / "d.json"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["specification"] == str(tmp_path / "d.json")
    specification = json.loads((tmp_path / "d.json").read_text())
    assert specification["project"] == "lander"
    sections = specification["spec"]["section"]["panelBankConfig"]["sections"]
    panels = {section["name"]: section["panels"] for section in sections}
    assert set(dashboard.SECTIONS) <= set(panels)
    lines = [panel["config"] for panel in panels["Imitation"]]
    assert {line["xAxis"] for line in lines} == {"time/env_steps"}
    (kl,) = [line for line in lines if line["metrics"] == ["train/kl"]]
    assert kl["yLogScale"] is True
    scatter = panels["Return kept"][0]["config"]
    assert ("model/student_params" in scatter["xAxis"], "eval/retention" in scatter["yAxis"]) == (True, True)


def test_every_metric_is_on_a_panel():
    drawn = {metric for panels in dashboard.SECTIONS.values() for panel in panels for metric in panel.metrics}
    assert drawn == set(METRICS) - NOT_DRAWN


def test_with_a_key_it_is_saved(offline, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setattr(dashboard, "save", lambda workspace: f"https://host/{workspace.entity}/{workspace.project}")
    assert main(["dashboard", "--entity", "me", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["url"] == "https://host/me/policy-distill"


def test_a_wandb_that_does_not_save_ends_in_one_line(caplog):
    class Refusing:
        def save(self):
            raise RuntimeError("no")

    with pytest.raises(RunFault, match="--offline"):
        dashboard.save(Refusing())
