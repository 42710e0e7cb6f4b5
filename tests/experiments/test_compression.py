import json

import pytest

from experiments import compression_table
from experiments.compression import TIMESTEPS, Config, main
from experiments.compression_table import SECTION, read_cells, section_of, with_section
from experiments.results import Results
from experiments.results import main as results
from policy_distill.errors import RequestError
from tests.run_folders import write_run

PAGE = "# Results\n\nOne.\n\n## Compression\n\nOld.\n\n## More\n\nTwo.\n"


def test_a_section_is_written_anew_and_the_rest_of_the_page_stays():
    assert section_of(PAGE, SECTION) == "## Compression\n\nOld.\n"
    assert with_section(PAGE, SECTION, f"{SECTION}\n\nNew.\n") == PAGE.replace("Old", "New")
    last = PAGE.partition("## More")[0]
    assert with_section(last, SECTION, f"{SECTION}\n\nNew.\n") == "# Results\n\nOne.\n\n## Compression\n\nNew.\n"
    assert with_section("# Results\n", SECTION, f"{SECTION}\n") == f"# Results\n\n{SECTION}\n"
    assert with_section("", SECTION, f"{SECTION}\n") == f"{SECTION}\n"
    assert section_of("# Results\n", SECTION) == ""


def test_the_table_of_another_script_stays_where_results_are_made_anew(tmp_path):
    for seed in range(3):
        write_run(tmp_path / "suite" / f"{seed}", seed=seed, n_episodes=200)
    page = tmp_path / "RESULTS.md"
    page.write_text(PAGE)
    for _ in range(2):
        results(Results((tmp_path / "suite",), page))
        assert page.read_text().count(section_of(PAGE, SECTION)) == 1
    assert page.read_text().startswith("# Results\n\nMade from")


def test_a_task_or_an_agent_that_there_is_not_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(RequestError, match=r"--task among cartpole, .*found 'chess'"):
        main(Config(tmp_path, ("chess",), out=tmp_path / "runs"))
    with pytest.raises(RequestError, match="found no qrdqn-CartPole-v1"):
        main(Config(tmp_path, ("cartpole",), out=tmp_path / "runs"))
    assert not list(tmp_path.iterdir())


def test_two_seeds_are_compressed_and_what_is_done_is_left_alone(zoo, tmp_path, capsys, monkeypatch):
    page = tmp_path / "RESULTS.md"
    page.write_text(PAGE)
    settings = {"task": ("cartpole",), "timesteps": 2048, "out": tmp_path / "runs", "results": page}
    assert main(Config(zoo, seeds=(0,), **settings)) == 0
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.safetensors")}
    assert main(Config(zoo, seeds=(0, 1), **settings)) == 0
    assert f"{tmp_path / 'runs' / 'cartpole' / 'seed-0'} is done" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert [(cell.task, cell.seed) for cell in read_cells(tmp_path / "runs")] == [("cartpole", 0), ("cartpole", 1)]
    text = page.read_text()
    assert text.replace(section_of(text, SECTION), "") == PAGE.replace(section_of(PAGE, SECTION), "")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| CartPole-v1")]
    assert [len(row) for row in rows] == [len(compression_table.HEADER)] * 2
    for row, cell in zip(rows, read_cells(tmp_path / "runs"), strict=True):
        record = json.loads((cell.folder / "compression.json").read_text())
        assert row[4] == record["winner"]
        assert row[2] == "72,212"
        assert row[10] == f"{record['env_steps']:,}"
    # A cell that fails is said, and the others are there.
    monkeypatch.setattr("experiments.compression.compress", fails)
    assert main(Config(zoo, seeds=(0, 2), **settings)) == 1
    assert "cartpole seed 2 failed: it is too hot" in capsys.readouterr().err


def fails(*arguments, **options):
    raise RequestError("it is too hot")


def test_every_task_has_an_environment_and_an_agent():
    import importlib

    for task in TIMESTEPS:
        assert importlib.import_module(f"envs.{task}").ZOO
