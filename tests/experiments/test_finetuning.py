"""The experiment on what reward adds."""

import numpy as np
import pytest

from experiments import finetuning
from experiments.finetuning import Config, Task, main
from experiments.finetuning_table import Tuned, gain_text, markdown
from policy_distill.errors import RequestError


def tuned(seed, before, after):
    """Return a student whose every episode returns so much, with a teacher of 100 and a random policy of 0."""
    returns = {"teacher": [100.0] * 4, "random": [0.0] * 4, "before": [before] * 3 + [10.0], "after": [after] * 4}
    record = {"finetuning": {"outcome": "better", "n_episodes": 32}, "env_steps": 200_000}
    return Tuned("walker", "Walker-v1", "mlp:8", "ppo", seed, returns, record)


def test_gains_are_shares_of_the_teachers_gain_with_an_interval_over_seeds():
    found = [tuned(0, 50.0, 80.0), tuned(1, 60.0, 90.0), tuned(2, 70.0, 100.0)]
    gains = [one.kept("after") - one.kept("before") for one in found]
    assert gains == pytest.approx([0.40, 0.425, 0.45])
    half = 4.3027 * np.std(gains, ddof=1) / np.sqrt(3)
    assert f"gained +0.425 [{0.425 - half:+.3f}, {0.425 + half:+.3f}] over 3 seeds" in gain_text(found)
    assert "(one seed)" in gain_text(found[:1])


def test_a_fall_is_an_episode_below_half_of_the_gain():
    assert tuned(0, 60.0, 80.0).falls("before") == 0.25
    assert tuned(0, 60.0, 80.0).falls("after") == 0.0
    row = next(line for line in markdown([tuned(0, 60.0, 80.0)], ["walker"], 4).splitlines() if "Walker-v1 |" in line)
    assert "| 47.5 | 80.0 | 100.0 | 25.0% | 0.0% | better in 32 episodes | 200,000 |" in row


def test_the_experiment_goes_on_where_it_was_stopped_and_writes_its_section(zoo, tmp_path, monkeypatch):
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Other\n\nstays\n")
    monkeypatch.setitem(finetuning.TASKS, "lunar_lander", Task("mlp:4", 1_024, 12_800))
    config = Config(zoo, ("lunar_lander",), (0, 1), 3, 3, tmp_path / "runs", results)
    main(config)
    first = results.read_text()
    assert "## Other\n\nstays" in first
    assert first.count("| LunarLander-v3 | mlp:4 | ppo |") == 2
    monkeypatch.setattr(finetuning, "finetune", None)
    monkeypatch.setattr(finetuning, "distill", None)
    main(config)
    assert results.read_text() == first


def test_an_unknown_task_is_refused():
    with pytest.raises(RequestError, match="expected --task among"):
        main(Config(None, ("chess",)))
