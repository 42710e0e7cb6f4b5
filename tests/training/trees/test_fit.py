"""Trees grow on states whose best tree is known."""

import numpy as np
import pytest

from policy_distill.student.actions import ActionMap
from policy_distill.student.head import Head
from policy_distill.training.trees.fit import fit_tree
from policy_distill.training.trees.grow import grow, prune_leaves
from policy_distill.training.trees.node import Data, Node, explained, leaf_numbers, to_tree
from policy_distill.training.trees.refine import refine
from policy_distill.training.trees.split import best_cut, side_score, variance_score
from policy_distill.training.trees.targets import Goal, Targets, means_in

N = 2000
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (N, 3)).astype(np.float32)


def data_of(labels, weights=None):
    values = np.eye(int(labels.max()) + 1, dtype=np.float32)[labels]
    return Data(X, Targets(values, values, np.ones(N, np.float32) if weights is None else weights))


def accuracy(root, labels):
    leaf = leaf_numbers(root, N)
    values = np.eye(int(labels.max()) + 1)[labels]
    means = means_in(leaf, values, np.ones(N), len(root.leaves))
    return (means[leaf].argmax(axis=1) == labels).mean()


def cost(root, data):
    return sum((data.targets.values[leaf.rows] ** 2).sum() for leaf in root.leaves) - sum(
        explained(leaf, data) for leaf in root.leaves
    )


def test_a_box_is_found_by_five_leaves():
    inside = (np.abs(X[:, 0]) < 0.5) & (np.abs(X[:, 2]) < 0.5)
    root = fit_tree(data_of(inside.astype(int)), 5, oblique=False)
    assert len(root.leaves) == 5
    assert accuracy(root, inside.astype(int)) == 1.0


def test_a_slanted_border_is_one_split_of_an_oblique_tree_and_names_what_it_needs_alone():
    labels = (X[:, 0] + 2 * X[:, 1] > 0.3).astype(int)
    root = fit_tree(data_of(labels), 2, oblique=True)
    assert accuracy(root, labels) > 0.99
    tree = to_tree(root, np.zeros((2, 2)), oblique=True)
    terms = dict(tree.terms(0))
    assert set(terms) == {0, 1}
    assert terms[1] / terms[0] == pytest.approx(2, rel=0.1)


def test_states_that_count_more_win_a_leaf():
    labels = (X[:, 0] > 0).astype(int)
    heavy = np.where(X[:, 1] > 0.5, 50.0, 0.02).astype(np.float32)
    labels = np.where(X[:, 1] > 0.5, 1 - labels, labels)
    root = fit_tree(data_of(labels, heavy), 2, oblique=False)
    chosen = means_in(leaf_numbers(root, N), np.eye(2)[labels], heavy, 2)[leaf_numbers(root, N)].argmax(axis=1)
    assert (chosen == labels)[X[:, 1] > 0.5].all()


def test_refining_and_growing_never_cost_more_and_pruning_closes_the_weakest():
    labels = (np.sin(4 * X[:, 0]) + X[:, 1] > 0).astype(int)
    data, root, costs = data_of(labels), Node(np.arange(N)), []
    for n_leaves in (4, 16):
        grow(root, data, n_leaves, oblique=False)
        costs.append(cost(root, data))
        refine(root, data, 5, oblique=False)
        costs.append(cost(root, data))
    assert costs == sorted(costs, reverse=True)
    inner = [node for node in root.walk() if node.split is not None and all(side.split is None for side in node.sides)]
    gains = [sum(explained(side, data) for side in node.sides) - explained(node, data) for node in inner]
    before, n = cost(root, data), len(root.leaves)
    prune_leaves(root, data, n - 1)
    closed = n - len(root.leaves)
    assert closed >= 1
    assert (cost(root, data) - before) / closed <= min(gains) + 1e-6


def test_the_arrays_send_every_state_where_the_nodes_did():
    labels = (np.sin(4 * X[:, 0]) + X[:, 1] * X[:, 2] > 0).astype(int)
    for oblique in (False, True):
        root = fit_tree(data_of(labels), 12, oblique=oblique)
        tree = to_tree(root, np.zeros((len(root.leaves), 2)), oblique=oblique)
        tree.check(3)
        assert np.array_equal(tree.route(X), leaf_numbers(root, N))


def test_a_cut_lies_between_two_values_and_leaves_enough_on_either_side():
    values = np.array([[0.0], [1.0], [1.0], [2.0]], np.float32)
    score = variance_score(np.array([[0.0], [0.0], [1.0], [1.0]]), np.ones(4))
    assert best_cut(values, score, 1, 1).threshold in (0.5, 1.5)
    assert best_cut(values, score, 3, 1) is None
    near = np.array([[1.0], [np.nextafter(np.float32(1), np.float32(2))]], np.float32)
    cut = best_cut(near, side_score(np.array([-1.0, 1.0])), 1, 1)
    assert near[0, 0] <= cut.threshold < near[1, 0]


def test_all_alike_or_without_a_difference_stays_one_leaf():
    assert len(fit_tree(data_of(np.zeros(N, int)), 8, oblique=True).leaves) == 1
    same = Data(np.ones((N, 2), np.float32), data_of((X[:, 0] > 0).astype(int)).targets)
    for oblique in (False, True):
        assert len(fit_tree(same, 8, oblique=oblique).leaves) == 1


def test_a_wrong_action_costs_its_gap_and_one_that_is_ruled_out_nothing():
    goal = Goal(Head("argmax", (3,)), ActionMap("index", (), "int64"), False, sharp=False)
    found = goal.targets(np.array([[0.0, 4.0, -1e8], [0.0, 1.0, -1e8]], np.float32))
    assert found.weights[0] / found.weights[1] == pytest.approx(4)
    assert found.values[0] == pytest.approx([1 / (1 + np.exp(4)), 1 / (1 + np.exp(-4)), 0], abs=1e-6)


def test_a_leaf_has_the_gaussian_of_least_divergence():
    # Two states, means ±1 and σ = 1 each: the mixture has mean 0 and variance 2.
    goal = Goal(Head("mean", (1,), extra=1), ActionMap("none", (1,), "float32"), True, sharp=False)
    params = np.array([[1.0, 0.0], [-1.0, 0.0]], np.float32)
    found = goal.outputs(params, goal.targets(params), np.zeros(2, np.int64), 1)
    assert found[0] == pytest.approx([0.0, 0.5 * np.log(2)], abs=1e-6)
    squashed = Goal(Head("tanh", (1,), extra=1), ActionMap("none", (1,), "float32"), True, sharp=False)
    modes = np.tanh(squashed.outputs(params + 1, squashed.targets(params + 1), np.zeros(2, np.int64), 1)[0, 0])
    assert modes == pytest.approx(np.tanh([2.0, 0.0]).mean(), abs=1e-3)


@pytest.mark.parametrize("sharp", [False, True])
def test_leaves_of_choices_with_a_reference_say_what_those_with_all_logits_say(sharp):
    less, leaf = RNG.normal(size=(N, 3)).astype(np.float32), np.arange(N) % 4
    short = Goal(Head("argmax", (3, 2), reference=True), ActionMap("index", (2,), "int64"), False, sharp)
    full = Goal(Head("argmax", (3, 2)), short.action_map, False, sharp)
    targets, all_logits = short.targets(less), short.head.scores(less)
    assert np.array_equal(targets.values, full.targets(all_logits).values)
    outputs, wanted = short.outputs(less, targets, leaf, 4), full.outputs(all_logits, targets, leaf, 4)
    assert outputs.shape == (4, short.head.n_outputs)
    gap = short.head.scores(outputs) - wanted
    assert np.allclose(gap, np.repeat(gap[:, [0, 3]], [3, 2], axis=1), atol=1e-6), "the same probabilities"
