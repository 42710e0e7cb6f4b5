"""Contexts, from a YAML file to environments."""

import pytest

from policy_distill.environments.perturbations.conditions import parse_conditions
from policy_distill.environments.perturbations.contexts import collected_under, contexts_of, read_contexts
from policy_distill.errors import RequestError

GRID = {"grid": {"g": [8.0, 10.0], "perturb": ["none", "delay:1"]}, "seen": {"g": [10.0], "perturb": ["none"]}}


def test_a_grid_combines_all_values_and_seen_names_those_of_the_training():
    found = contexts_of(GRID)
    assert [one.name for one in found] == [
        "g=8.0, perturb=none",
        "g=8.0, perturb=delay:1",
        "g=10.0, perturb=none",
        "g=10.0, perturb=delay:1",
    ]
    assert [one.seen for one in found] == [False, False, True, False]
    assert found[0].condition.env_kwargs == (("g", 8.0),)
    assert found[0].condition.wrappers == ()
    assert found[1].condition.wrappers == (("delay", 1.0),)


def test_a_sample_is_that_of_its_seed_and_seen_is_a_range():
    values = {"sample": {"g": [5.0, 15.0]}, "n": 20, "seed": 3, "seen": {"g": [9.0, 11.0]}}
    one, same, other = (contexts_of({**values, "seed": seed}) for seed in (3, 3, 4))
    assert [x.values for x in one] == [x.values for x in same] != [x.values for x in other]
    assert len(one) == 20
    assert all(5.0 <= x.values["g"] <= 15.0 for x in one)
    assert all(x.seen == (9.0 <= x.values["g"] <= 11.0) for x in one)


def test_lists_say_each_context():
    found = contexts_of({"contexts": {"seen": [{"g": 9}], "held_out": [{"g": 3, "perturb": "sticky:0.1"}]}})
    assert [(one.values["g"], one.seen) for one in found] == [(9, True), (3, False)]


def test_what_is_seen_can_be_collected_under_and_is_the_same_condition():
    found = contexts_of(
        {"contexts": {"seen": [{"g": 9.5, "perturb": "delay:1+sticky:0.1"}, {"on": True}], "held_out": [{"g": 1}]}}
    )
    text = collected_under(found)
    assert text == "delay:1+sticky:0.1+env:g=9.5,env:on=true"
    assert [one.key for one in parse_conditions(text)] == [one.condition.key for one in found[:2]]


def test_a_value_without_words_is_not_collected_under():
    found = contexts_of({"contexts": {"seen": [{"file": "a,b"}], "held_out": [{"g": 1}]}})
    with pytest.raises(RequestError, match="expected values that are numbers"):
        collected_under(found)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([], "expected a mapping with one of grid, sample, contexts"),
        ({"grid": {}, "sample": {}}, "expected a mapping with one of"),
        ({"grid": {"g": 3}, "seen": {"g": [3]}}, "expected a mapping from names to a list of values"),
        ({"grid": {"g": [3]}, "seen": {"q": [3]}}, "expected names among g, found q"),
        ({"grid": {"g": [3]}, "seen": {"g": [3]}}, "held out, found none"),
        ({"grid": {"g": [3]}, "seen": {"g": [4]}}, "seen, found none"),
        ({"grid": {"g": [3]}, "seen": {"g": [3]}, "n": 4}, "expected grid and next to it seen, found n"),
        ({"grid": {"g": list(range(30)), "q": list(range(30))}, "seen": {"g": [3]}}, "at most 400 contexts, found 900"),
        ({"sample": {"g": [3, 1]}, "seen": {"g": [1, 2]}}, "expected a range"),
        ({"sample": {"g": [1, 3]}, "seen": {"g": [1, 2]}, "n": 1}, "expected n from 2"),
        ({"contexts": {"seen": [{"g": 1}]}}, "lists seen and held_out"),
        ({"contexts": {"seen": [{"g": 1}], "held_out": [{"g": 1}]}}, "expected each context once, found g=1 twice"),
        ({"contexts": {"seen": [3], "held_out": [{"g": 1}]}}, "expected mappings such as"),
        ({"contexts": {"seen": [{"perturb": "wind:3"}], "held_out": [{"g": 1}]}}, "expected perturbations among"),
        ({"contexts": {"seen": [{"perturb": "delay:1,delay:2"}], "held_out": [{"g": 1}]}}, "expected one perturbation"),
    ],
)
def test_what_describes_no_contexts_is_refused_in_one_line(values, words):
    with pytest.raises(RequestError, match=words) as error:
        contexts_of(values, "c.yaml")
    assert "\n" not in str(error.value)


def test_a_file_is_read_and_its_name_stands_in_errors(tmp_path):
    path = tmp_path / "contexts.yaml"
    path.write_text("grid: {g: [8.0, 10.0]}\nseen: {g: [10.0]}\n")
    assert [one.seen for one in read_contexts(path)] == [False, True]
    path.write_text("grid: [")
    with pytest.raises(RequestError, match=r"contexts\.yaml is not YAML"):
        read_contexts(path)
