import numpy as np

from policy_distill import seeds
from policy_distill.config import DistillConfig


def test_every_seed_of_an_environment_fits_a_c_int():
    rng = np.random.default_rng(0)
    for seed in (0, 1, 12_345, seeds.USERS - 1):
        index, episode = rng.integers(0, 2**16, size=2).tolist()
        found = [
            seeds.training_seed(seed, index, episode),
            seeds.measured_seed(seed, index, episode),
            seeds.selection_start(seed) + 10_000,
            seeds.scale_start(seed) + 10_000,
            seeds.units_start(seed) + 10_000,
            seeds.VIDEO,
        ]
        assert all(0 <= one < 2**31 for one in found)
        assert all(np.int32(one) == one for one in found)


def test_no_two_purposes_meet():
    starts = [seeds.SELECTION, seeds.TRAINING, seeds.MEASURED, seeds.SCALE, seeds.UNITS, seeds.VIDEO]
    assert starts == sorted(starts)
    assert seeds.selection_start(seeds.USERS - 1) + 2**16 < seeds.TRAINING
    assert seeds.UNITS + seeds.N_UNITS <= seeds.VIDEO < seeds.LIMIT
    assert DistillConfig(eval_seed=seeds.USERS - 1).eval_seed + 100 * seeds.BLOCK < seeds.SELECTION


def test_training_seeds_hardly_ever_repeat_and_differ_from_run_to_run():
    found = [seeds.training_seed(seed, i, k) for seed in range(3) for i in range(8) for k in range(100)]
    assert len(set(found)) >= len(found) - 2
    assert seeds.training_seed(0, 1, 2) != seeds.training_seed(0, 2, 1)


def test_a_fresh_block_begins_where_nothing_was_used():
    assert seeds.fresh_start(5, 10, []) == 5
    assert seeds.fresh_start(5, 10, [(14, 15)]) == 1_000_005
    assert seeds.fresh_start(5, 10, [(15, 20), (0, 5)]) == 5
    assert seeds.fresh_start(5, 10, [(0, 10), (1_000_000, 1_000_006)]) == 2_000_005


def test_a_proof_by_default_meets_no_episode_of_a_teacher_that_was_trained_with_a_small_seed():
    config = DistillConfig()
    teacher_began_from = range(8)
    assert config.eval_seed == seeds.PROOF
    assert not set(teacher_began_from) & set(range(config.eval_seed, config.eval_seed + config.eval_episodes))


def test_a_purpose_has_a_seed_of_its_own():
    found = {seeds.purpose_seed(s, k, purpose) for s in (0, 1) for k in (0, 1) for purpose in ("act", "train")}
    assert len(found) == 8
