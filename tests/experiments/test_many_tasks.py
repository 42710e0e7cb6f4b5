"""`experiments.many_tasks`: a student of two tasks, students of one each, and the section."""

from dataclasses import replace

import pytest

from experiments import many_tasks
from experiments.many_tasks import Config, Part, main
from experiments.many_tasks_table import HEADER, SECTION
from policy_distill.errors import RequestError
from policy_distill.student.runtime import load_student
from tests.wandb_reader import read_run


def test_a_part_becomes_a_row_and_what_is_done_is_left_alone(zoo, tmp_path, monkeypatch, capfd):
    part = Part("mlp:6,6", 256, {"cartpole": "mlp:2", "acrobot": "quarter"})
    monkeypatch.setitem(many_tasks.PARTS, "classic", part)
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n\n## Trees\n\nStay.\n")
    quick = {"zoo": zoo, "part": ("classic",), "seeds": (0,), "episodes": 3, "track": "offline"}
    config = Config(**quick, out=tmp_path / "runs", results=results)
    main(config)
    text = results.read_text()
    assert SECTION in text and "Stay." in text
    (row,) = (line for line in text.splitlines() if line.startswith("| classic"))
    assert row.count("|") == len(HEADER) + 1
    whole = load_student(tmp_path / "runs" / "classic" / "together-0" / "student.safetensors")
    quarter = load_student(tmp_path / "runs" / "classic" / "acrobot-0" / "student.safetensors")
    assert f"| {whole.n_params} |" in row
    assert quarter.n_params <= whole.n_params / 2 < load_wider(quarter)
    runs = [tmp_path / "runs" / "classic" / name for name in ("together-0", "cartpole-0", "acrobot-0")]
    assert [read_run(run / "wandb")["run"].run_group for run in runs] == ["many-tasks-classic"] * 3
    monkeypatch.setattr(many_tasks, "distill", None)
    monkeypatch.setattr(many_tasks, "distill_many", None)
    main(config)
    assert results.read_text() == text


def load_wider(student):
    """Return the parameters of a student whose two layers have one unit more."""
    (n_in,), width = student.description.architecture.input_shape, len(student.tensors["network.0.bias"]) + 1
    n_out = student.description.head.n_outputs
    return (n_in + 1) * width + (width + 1) * width + (width + 1) * n_out


def test_a_part_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(RequestError, match="expected --part among classic, padded, mixed, control, found 'atari'"):
        main(Config(part=("atari",), results=tmp_path / "RESULTS.md"))


def test_a_padded_student_stands_beside_the_single_students_of_the_other_part(zoo, tmp_path, monkeypatch):
    part = Part("mlp:6,6", 256, {"cartpole": "mlp:2", "acrobot": "mlp:2"})
    monkeypatch.setitem(many_tasks.PARTS, "classic", part)
    monkeypatch.setitem(many_tasks.PARTS, "padded", replace(part, inputs="padded", alone="classic"))
    quick = {"zoo": zoo, "part": ("classic", "padded"), "seeds": (0,), "episodes": 3, "track": "disabled"}
    main(Config(**quick, out=tmp_path / "runs", results=tmp_path / "RESULTS.md"))
    assert [path.name for path in (tmp_path / "runs" / "padded").iterdir()] == ["together-0"]
    own, padded = (
        load_student(tmp_path / "runs" / name / "together-0" / "student.safetensors") for name in ("classic", "padded")
    )
    # 4 inputs of one task and 6 of the other: as many as the wider one has.
    assert own.n_params - padded.n_params == 4 * 6
    assert (tmp_path / "RESULTS.md").read_text().count("\n| padded | 0 |") == 1
