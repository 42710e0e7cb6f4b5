import json
import math

import pytest

from policy_distill.commands.distill import summary
from policy_distill.evaluation.records import EvaluationRecord
from policy_distill.report.write import write_report
from policy_distill.system.wording import compression_text, digits, signed, times_fewer
from tests.run_folders import write_run


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.955, "0.9550"),
        (0.0, "0.000"),
        (500.0, "500.0"),
        (12.3456, "12.35"),
        (-97.314, "-97.31"),
        (999.949, "999.9"),
        (999.96, "1,000"),
        (-1115.2, "-1,115"),
        (20_000_000.4, "20,000,000"),
        (0.00012345, "0.0001234"),
        (math.inf, "inf"),
        (None, ""),
    ],
)
def test_numbers_have_four_significant_digits_or_all_before_the_point(value, text):
    assert digits(value) == text


@pytest.mark.parametrize(
    ("teacher", "student", "text", "cell"),
    [
        (67_586, 58, "1,165 x in parameters (67,586 to 58)", "1,165.3"),
        (5000, 1476, "3.4 x in parameters (5,000 to 1,476)", "3.4"),
        (1004, 1000, "1.004 x in parameters (1,004 to 1,000)", "1.004"),
        (58, 58, "none: the student has as many parameters as the teacher (58 to 58)", "as many"),
        (1000, 1004, "none: the student is 1.004 x larger than the teacher (1,000 to 1,004)", "1.004 x more"),
        (10, 67_586, "none: the student is 6,759 x larger than the teacher (10 to 67,586)", "6,758.6 x more"),
        (0, 58, "undefined: the teacher has no parameters, the student 58", "undefined"),
    ],
)
def test_a_student_that_is_not_smaller_is_said_to_be_that(teacher, student, text, cell):
    assert compression_text(teacher, student) == text
    assert times_fewer(teacher / student) == cell


@pytest.mark.parametrize(
    ("outcome", "step"),
    [
        ("inferior", "--timesteps"),
        ("undecided", "--until-certain"),
        ("undefined", "trained in"),
        ("non-inferior", None),
    ],
)
def test_the_tables_and_the_page_of_a_run_say_what_next_and_where_there_is_no_compression(tmp_path, outcome, step):
    path = write_run(tmp_path / "run")
    record = json.loads((path / "evaluation.json").read_text())
    record["retention"]["verdict"]["outcome"] = outcome
    record["teacher"]["n_params"] = 40
    record["compression"]["params"] = 0.5
    record["random"] |= {"iqm": 0.955, "ci95": [0.951, 0.9621]}
    (path / "evaluation.json").write_text(json.dumps(record))
    seconds = dict.fromkeys(("collect", "environment", "label", "train", "evaluate"), 1.0)
    text, page = summary(EvaluationRecord.from_json(record), seconds, None), write_report(path).read_text()
    assert "none: the student is 2.0 x larger than the teacher (40 to 80)" in text
    assert "0.9550 [0.9510, 0.9621]" in text
    assert "0.9510 to 0.9621" in page
    assert "2.0 x more" in page and "the student is not smaller than its teacher" in page
    assert ("next" in text) == (step is not None) == ("Next: " in page)
    assert step is None or (step in text and step in page)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123456, "+0.01235"), (-0.5, "-0.5000"), (0, "+0.000"), (-0.0, "+0.000")]
)
def test_differences_have_a_sign_and_the_digits_of_any_number(value, text):
    assert signed(value) == text
