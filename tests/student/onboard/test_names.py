import gymnasium
import pytest

from policy_distill.errors import RequestError
from policy_distill.student.onboard.names import ACTIONS, OBSERVATIONS, action_names, check_names, observation_names
from policy_distill.student.spaces import describe_space


def spaces_of(env_id):
    env = gymnasium.make(env_id)
    spaces = describe_space(env.observation_space), describe_space(env.action_space)
    env.close()
    return spaces


@pytest.mark.parametrize("stem", sorted({*OBSERVATIONS, *ACTIONS}))
def test_the_names_of_a_known_environment_are_as_many_as_its_numbers(stem):
    env_id = [key for key in gymnasium.registry if key.startswith(f"{stem}-v") and "Continuous" not in key][-1:]
    env_id = env_id or [key for key in gymnasium.registry if key.startswith(f"{stem}-v")][-1:]
    observed, acted = spaces_of(env_id[0])
    names, actions = observation_names(env_id[0], observed), action_names(env_id[0], acted)
    assert names is not None and len(set(names)) == observed["shape"][0]
    assert actions is not None and len(set(actions)) == (acted["n"] if "n" in acted else acted["shape"][0])
    assert check_names(names, observed, env_id[0]) == names


def test_a_variant_has_the_names_of_its_task_where_their_number_fits():
    observed, acted = spaces_of("CartPole-v1")
    assert observation_names("CartPoleLongPole-v1", observed) == OBSERVATIONS["CartPole"]
    assert action_names("some_package:CartPoleLongPole-v1", acted) == ACTIONS["CartPole"]
    blind = {**observed, "shape": [2]}
    assert observation_names("CartPoleNoVel-v1", blind) is None
    assert observation_names("Unknown-v0", observed) is None
    assert observation_names(None, observed) is None
    continuous = spaces_of("LunarLanderContinuous-v3")[1]
    assert action_names("LunarLanderContinuous-v3", continuous) == ("main engine", "side engine")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a", "b"), "expected 4 observation names, one for each component of CartPole-v1, found 2"),
        (("a", "b", "c", "a"), "different"),
        (("a", "b", "c", "3"), "not numbers"),
        (("a", "b", "c", "d\n"), "printable"),
    ],
)
def test_names_that_do_not_fit_are_refused_in_one_line(names, words):
    with pytest.raises(RequestError, match=words) as found:
        check_names(names, spaces_of("CartPole-v1")[0], "CartPole-v1")
    assert "\n" not in str(found.value)


def test_a_space_that_is_no_vector_has_no_names():
    image = {"type": "Box", "shape": [3, 8, 8], "dtype": "uint8", "low": 0, "high": 255}
    assert observation_names("CartPole-v1", image) is None
    with pytest.raises(RequestError, match="expected a vector to name"):
        check_names(("a",), image, "an image")
