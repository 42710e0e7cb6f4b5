"""The students that are still in a race, as a table that is drawn while it runs.

In: a race between two rollouts. Out: something that rich can draw.
"""

from __future__ import annotations

from typing import Any

from policy_distill.compression.race import Race

MOST = 12
"""Rows of the table; the cheapest are shown."""


def standings(race: Race) -> Any:
    """Return a table of the networks still in the race, with what each kept when it was last judged."""
    from rich.table import Table

    runners = race.running
    table = Table(
        title=f"still in the race: {len(runners)} of {len(race.candidates)} students; the bar is {race.bar:.1%}",
        title_justify="left",
    )
    for name in ("student", "parameters", "bytes", "share kept so far", "starts"):
        table.add_column(name, justify="left" if name == "student" else "right")
    for candidate in runners[:MOST]:
        kept = race.kept.get(candidate.spec)
        share = "" if kept is None or not kept.known else f"{kept.share:.3f} ± {kept.error:.3f}"
        n_starts = len(race.best(candidate.spec, len(race.population.members)))
        table.add_row(candidate.spec, f"{candidate.n_params:,}", f"{candidate.n_bytes:,}", share, f"{n_starts}")
    if len(runners) > MOST:
        table.add_row(f"and {len(runners) - MOST} larger", "", "", "", "")
    table.caption = f"{race.stream.env_steps:,} steps collected, {race.judge.env_steps:,} for choosing"
    return table
