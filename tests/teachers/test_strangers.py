import pytest

from tests import strangers
from tests.layouts import LAYOUTS, RAW, Layout


@pytest.fixture
def two_layouts(monkeypatch):
    monkeypatch.setattr(strangers, "LAYOUTS", LAYOUTS[:2])
    monkeypatch.delenv("POLICY_DISTILL_ZOO", raising=False)


def test_what_is_as_expected_ends_well_and_shows_all_of_it(two_layouts, capsys):
    assert strangers.main([]) == 0
    shown = capsys.readouterr().out
    assert all(layout.name in shown and layout.expected in shown for layout in LAYOUTS[:2])
    assert "2 tried, 0 not as expected" in shown


def test_what_is_not_as_expected_is_marked_and_ends_with_1(two_layouts, monkeypatch, capsys):
    wrong = Layout("the wrong way round", LAYOUTS[0].make, RAW)
    monkeypatch.setattr(strangers, "LAYOUTS", [LAYOUTS[1], wrong])
    assert strangers.main([]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_an_agent_of_the_zoo_is_held_against_sb3_and_its_known_return(zoo):
    known = strangers.known_returns(zoo)
    assert known["ars-CartPole-v1"] == ("CartPole-v1", 500.0, 0.0)
    acts, gains = strangers.agent_rows(zoo / "ars-CartPole-v1", known["ars-CartPole-v1"], 2)
    assert acts.right
    assert gains.right
    assert not next(strangers.agent_rows(zoo / "nowhere", None, 2)).right
