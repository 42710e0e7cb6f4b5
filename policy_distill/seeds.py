"""Which seed starts which episode: every offset of the package, so that no two purposes ever meet.

In: the seeds that a user names (below 2^29), and a purpose. Out: seeds for `reset`, all below 2^31, since simulators
keep theirs in a C int. The number line is dealt out once:

    0 ................ 2^29    the user's own: teachers are trained from here, `evaluate` starts where it is told
    1,000,000 + k 10^6 ....    proofs: a block of a million for each, k = 0 for the one at the end of a run
    2^30 ......... + 2^29      selection, and the scale of the proof that follows it
    then, 2^28 seeds           training
    then, 2^27 seeds           what is measured on the student's own states
    then, 2^26 seeds           the scale of a comparison
    then, 2^25 seeds           units of noise, and which of several teachers is best
    the last one but some      what only tells whether a seed means anything
    the last one               the episode that is filmed
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

LIMIT = 2**31
"""Seeds of environments stay below: what a C int holds."""

USERS = 2**29
"""Seeds that a user names stay below."""

BLOCK = 1_000_000
"""Seeds in the block of one proof."""

PROOF = BLOCK
"""The first block of proofs. Not 0: SB3 starts a teacher's environments from its own seed, which is small."""

TEACHER_CHECKS = 10_000
"""`train_teacher` starts a teacher's environments from its seed, and those that say when to stop so much further."""

TEACHERS = 2**14
"""Seeds from a teacher's own on that its training may have started from, by SB3 (one for each environment) or here."""

SELECTION = 2**30
TRAINING = SELECTION + USERS + 2**20
N_TRAINING = 2**28
MEASURED = TRAINING + N_TRAINING
N_MEASURED = 2**27
SCALE = MEASURED + N_MEASURED
N_SCALE = 2**26
UNITS = SCALE + N_SCALE
N_UNITS = 2**25
VIDEO = LIMIT - 1
PROBE = VIDEO - 1

Span = tuple[int, int]
"""Seeds from the first number up to, and without, the second."""


def training_seed(seed: int, index: int, episode: int) -> int:
    """Return the seed of one training episode of one environment, for the run's seed."""
    return TRAINING + _word(seed, index, episode) % N_TRAINING


def measured_seed(seed: int, index: int, episode: int) -> int:
    """Return the seed of an episode on whose states the student is measured and never trained."""
    return MEASURED + _word(seed, index, episode) % N_MEASURED


def selection_start(seed: int) -> int:
    """Return where the episodes begin on which a run with this seed chooses."""
    return SELECTION + seed


def scale_start(seed: int) -> int:
    """Return where the episodes begin that scale a comparison from `seed` on."""
    return SCALE + _word(seed) % (N_SCALE - 2**16)


def units_start(seed: int) -> int:
    """Return where the episodes begin on which units of noise are measured."""
    return UNITS + _word(seed) % (N_UNITS - 2**16)


def teachers_start(seed: int) -> int:
    """Return where the episodes begin that say which of several teachers is best."""
    return UNITS + _word(seed, 1) % (N_UNITS - 2**16)


def purpose_seed(*words: int | str) -> int:
    """Return the seed of a generator for a purpose: a function of all words, at most 2^32 - 1."""
    numbers: list[int] = []
    for word in words:
        numbers.extend(word.encode() if isinstance(word, str) else (word,))
    return _word(*numbers)


def fresh_start(start: int, n_episodes: int, spent: Iterable[Span]) -> int:
    """Return the first of `start`, `start` + a million, ... from which no episode has been used.

    Args:
        start: where a proof would begin, at least 0.
        n_episodes: episodes that it may take.
        spent: seeds that have been looked at, by training, a choice or a proof.
    """
    used = list(spent)
    while any(low < start + n_episodes and start < high for low, high in used):
        start += BLOCK
    return start


def _word(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1)[0])
