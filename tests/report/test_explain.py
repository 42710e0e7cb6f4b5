"""What a student does, in words and drawn."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from policy_distill.cli import main
from policy_distill.errors import RequestError
from policy_distill.report.explain import formula, linear_lines, rules_of
from policy_distill.report.tree_drawing import MOST_LEAVES, draw_tree, spots_of
from policy_distill.student.engines.torch_tree import TreeLayer
from policy_distill.student.runtime import Student
from policy_distill.student.tree import Tree
from tests.doubles import cartpole_teacher
from tests.students import make_student, random_tree, sample_observations
from tests.training.test_policy import make_policy


def cartpole(tree, **provenance):
    spec = replace(make_policy(cartpole_teacher()).spec, network="tree:8", normalizer=None)
    policy = make_tree_policy(spec, tree)
    return Student.of(policy.to_record({"env_id": "CartPole-v1", **provenance}))


def make_tree_policy(spec, tree):
    from policy_distill.training.policy import StudentPolicy

    return StudentPolicy(spec, torch.Generator(), nn.Sequential(TreeLayer(tree)))


SMALL = Tree(
    np.array([0.5, -1.0], np.float32),
    np.array([[1, -3], [-1, -2]], np.int32),
    np.array([2, 0], np.int32),
    np.log(np.array([[0.9, 0.1], [0.25, 0.75], [0.4, 0.6]], np.float32)),
)


def test_the_rules_are_nested_and_have_the_names_of_the_environment():
    assert list(rules_of(cartpole(SMALL)).lines()) == [
        "if theta <= 0.5:",
        "    if x <= -1:",
        "        push left (90%)",
        "    else:",
        "        push right (75%)",
        "else:",
        "    push right (60%)",
    ]


def test_names_of_the_caller_come_before_those_of_the_run_and_these_before_the_environments():
    run = {"config": {"observation_names": "p, v, a, w"}}
    assert rules_of(cartpole(SMALL, **run)).question(0) == "a <= 0.5"
    assert rules_of(cartpole(SMALL, **run), ("k", "l", "m", "n")).question(0) == "m <= 0.5"
    assert rules_of(cartpole(SMALL, env_id="Unknown-v0")).question(0) == "obs[2] <= 0.5"
    for odd in ({"observation_names": ["a"]}, {"observation_names": "a,b"}, "words"):
        assert rules_of(cartpole(SMALL, config=odd)).question(0) == "theta <= 0.5"
    with pytest.raises(RequestError, match="expected 4 observation names"):
        rules_of(cartpole(SMALL), ("a", "b"))


@pytest.mark.parametrize("network", ["tree:16", "oblique_tree:16"])
@pytest.mark.parametrize(
    "kind", [("unnormalized", "offset"), ("discrete", "gaussian"), ("multi_discrete", "multi_binary")]
)
def test_following_the_rules_leads_to_what_the_student_does(kind, network):
    student = make_student((*kind, network, "tanh"))
    rules, obs = rules_of(student), sample_observations(kind)
    features = student.plan.featurizer(obs)
    taken = rules.tree.route(features)
    ways = {rule_leaf: asked for rule_leaf, asked in rules._ways()}
    assert set(ways) == set(range(rules.tree.n_leaves))
    for row, leaf in zip(features, taken, strict=True):
        for asked in ways[leaf]:
            no, question = asked.startswith("not "), asked.removeprefix("not ")
            split = next(s for s in range(rules.tree.n_splits) if rules.question(s) == question)
            total = sum(c * row[f] for f, c in rules.tree.terms(split))
            assert (total <= rules.tree.threshold[split]) != no


def test_a_sum_reads_as_one_writes_it():
    assert formula([("x", 0.5), ("y", -1.0), ("z", 0.0), ("w", 1.0)]) == "0.5 x - y + w"
    assert formula([("x", -2.0)], 3.0) == "-2 x + 3"
    assert formula([], None) == "0"


def test_the_formula_of_a_linear_student_is_in_the_observations_own_units():
    kind = ("vector", "gaussian", "linear", "tanh")
    student = make_student(kind)
    _, *lines = linear_lines(student, ("a", "b", "c", "d", "e"))
    obs = np.array([0.1, -0.2, 0.3, 0.0, 0.5])
    expected = student.network_outputs(obs[None])[0]
    for line, value in zip(lines, expected, strict=True):
        said = line.partition(": ")[2].replace("- ", "-").replace("+ ", "+")
        total = 0.0
        for number, name in re.findall(r"([+-]?[\d.]*(?:e-?\d+)?) ?([a-e]?)(?: |$)", said):
            if number or name:
                factor = float(number) if number not in ("", "+", "-") else float(f"{number}1")
                total += factor * (obs["abcde".index(name)] if name else 1.0)
        assert total == pytest.approx(value, abs=0.02)


def test_explain_prints_rules_as_text_and_as_json_and_says_what_it_cannot(tmp_path, capsys):
    path = tmp_path / "student.safetensors"
    cartpole(SMALL).save(path)
    assert main(["explain", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("tree:8 of CartPole-v1: 3 leaves, 2 levels") and "if theta <= 0.5:" in said
    assert main(["explain", str(path), "--json", "--observation-names", "a,b,c,d"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rules"][0]["if"] == ["c <= 0.5", "a <= -1"] and found["leaves"] == 3
    assert main(["explain", str(path), "--observation-names", "a,b"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    make_student(("vector", "discrete", "mlp:16,8", "tanh")).save(path)
    assert main(["explain", str(path)]) == 2
    assert "expected a tree or a linear student" in capsys.readouterr().err
    make_student(("vector", "discrete", "linear", "tanh")).save(path)
    assert main(["explain", str(path)]) == 0
    assert "the action whose sum is largest" in capsys.readouterr().out


def test_a_drawing_has_every_leaf_where_they_can_be_read_and_escapes_names():
    rules = rules_of(cartpole(SMALL), ("a", "b", "<script>", "d"))
    spots = spots_of(rules)
    assert [spot.text for spot in spots if spot.is_end] == [rules.answer(leaf) for leaf in range(3)]
    heights = [spot.y for spot in spots if spot.is_end]
    assert heights == sorted(heights) and len(set(heights)) == 3
    drawn = draw_tree(rules)
    assert "<script>" not in drawn and "&lt;script&gt;" in drawn
    assert "a tree of 3 leaves" in drawn


def test_a_tree_that_cannot_be_read_whole_is_drawn_down_to_where_it_can():
    spec = replace(make_policy(cartpole_teacher()).spec, network="tree:300", normalizer=None)
    rules = rules_of(Student.of(make_tree_policy(spec, random_tree(spec, 0)).to_record({"env_id": "CartPole-v1"})))
    spots = spots_of(rules)
    ends = [spot for spot in spots if spot.is_end]
    assert len(ends) == MOST_LEAVES
    hidden = sum(int(re.match(r"… (\d+) leaves", spot.text)[1]) for spot in ends if spot.text.startswith("…"))
    assert hidden + sum(not spot.text.startswith("…") for spot in ends) == 300
    assert "policy-distill explain prints all" in draw_tree(rules)
