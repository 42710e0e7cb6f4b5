from dataclasses import dataclass

import pytest

from policy_distill.errors import RequestError
from policy_distill.evaluation.records import ComparedRecord, ComparisonRecord, EvaluationRecord, FidelityRecord
from policy_distill.system.records import ENDS, FLAG, INTERVAL, NUMBER, NUMBERS, OBJECT, TEXT, Each, dump, load, part
from policy_distill.tracking.settings import RunSettings


@dataclass(frozen=True)
class Inner:
    a: float | None = part(NUMBER)
    b: str | None = part(TEXT, left_out=True)


@dataclass(frozen=True)
class Outer:
    first: Inner | None = part(Inner)
    returned: float | None = part(NUMBER, name="return")
    here: Inner | None = part(Inner, inline=True)
    each: dict[str, Inner] | None = part(Each(Inner), left_out=True)
    flag: bool | None = part(FLAG, left_out=True)
    rest: dict[str, object] | None = part(OBJECT, inline=True)


def test_a_record_is_written_in_the_order_of_its_fields_and_read_again():
    record = Outer(Inner(1.0, "x"), 2, Inner(None), {"k": Inner(3)}, False, {"new": [1]})
    values = {"first": {"a": 1.0, "b": "x"}, "return": 2, "a": None, "each": {"k": {"a": 3}}, "flag": False, "new": [1]}
    assert list(dump(record).items()) == list(values.items())
    assert load(Outer, values, "file") == record


def test_what_is_missing_is_none_and_written_as_null_or_not_at_all():
    record = load(Outer, {"first": None}, "file")
    assert record == Outer(rest={})
    assert dump(record) == {"first": None, "return": None}


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ([], "file: expected an object, found a list"),
        ({"first": 3}, "file, first: expected an object, found 3"),
        ({"first": {"a": "x"}}, "file, first, a: expected a number, found a text"),
        ({"a": True}, "file, a: expected a number, found true"),
        ({"return": float("nan")}, "file, return: expected a number, found NaN"),
        ({"return": 10**400}, "file, return: expected a number, found 1000"),
        ({"each": {"k": None}}, "file, each, k: expected an object, found null"),
        ({"each": []}, "file, each: expected an object, found a list"),
        ({"flag": 0}, "file, flag: expected true or false, found 0"),
    ],
)
def test_what_has_another_form_is_named(values, error):
    with pytest.raises(RequestError) as raised:
        load(Outer, values, "file")
    assert str(raised.value).startswith(error)


def test_intervals_have_two_ends_that_are_known_or_not():
    assert INTERVAL.fits([1, 2.0]) and INTERVAL.fits([None, None]) and not INTERVAL.fits([None, 1.0])
    assert ENDS.fits([None, 1.0]) and not ENDS.fits([1.0])
    assert NUMBERS.fits([]) and not NUMBERS.fits([1.0, None])


def test_a_run_without_a_proof_says_nothing_of_a_selection():
    values = EvaluationRecord(env_id="E-v0", fidelity=FidelityRecord(0.9, None)).to_json()
    assert values["retention"] is None and values["kl"] is None
    assert not {"selection", "falls", "scale", "paired", "teacher_sampled", "env_restarts"} & set(values)


def test_a_comparison_names_its_fidelity_where_it_was_measured():
    plain, measured = (ComparedRecord(ComparisonRecord(), True, one) for one in (None, FidelityRecord(None, 0.1)))
    assert "agreement" not in plain.to_json()
    assert (measured.to_json()["agreement"], measured.to_json()["kl"]) == (None, 0.1)


def test_settings_keep_what_another_version_noted():
    values = {"env_id": "E-v0", "teacher": {"source": "t.zip", "colour": "red"}, "config": {"seed": 3}, "later": 1}
    settings = load(RunSettings, values, "config.json")
    assert (settings.seed, settings.others, settings.teacher.others) == (3, {"later": 1}, {"colour": "red"})
    assert RunSettings.of({"env_id": 7}) == RunSettings()
