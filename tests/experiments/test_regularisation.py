"""The experiment on what is to be done about over-fitting."""

import pytest

from experiments import regularisation
from experiments.regularisation import WAYS, Config, Measured, main, markdown
from policy_distill.errors import RequestError


def test_rows_are_means_over_seeds_with_the_range_on_fresh_episodes():
    found = [Measured("A-v0", "nothing", 0.1, 0.3, fresh, 0.9) for fresh in (0.2, 0.4)]
    page = markdown(found, Config(seeds=(0, 1)))
    assert "| A-v0 | nothing | 0.1000 | 0.3000 | 3.0 | 0.3000, range 0.2000 to 0.4000 | 0.900 |" in page
    assert "Mean over\n2 training seeds" in page


def test_the_experiment_goes_on_where_it_was_stopped_and_writes_its_section(zoo, tmp_path, monkeypatch):
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Other\n\nstays\n")
    small = {"task": ("cartpole",), "seeds": (0,), "timesteps": 768, "n_epochs": 2}
    config = Config(zoo, **small, out=tmp_path / "runs", results=results)
    main(config)
    first = results.read_text()
    assert "## Other\n\nstays" in first
    assert first.count("| CartPole-v1 | ") == len(WAYS)
    monkeypatch.setattr(regularisation, "distill", None)
    main(config)
    assert results.read_text() == first


def test_an_unknown_task_is_refused():
    with pytest.raises(RequestError, match="expected --task among"):
        main(Config(None, ("chess",)))
