"""What makes a run of several tasks this run: each task as a run of it alone, and how they share one student.

In: a team. Out: a `RunIdentity` of each task, and that of the whole, which `config.json` and checkpoints hold.
"""

from __future__ import annotations

from policy_distill.run.provenance import RunIdentity, TeacherFile, fingerprint, identity_of, library_versions
from policy_distill.run.tasks.team import Team
from policy_distill.system.records import dump


def identity_of_all(team: Team) -> tuple[dict[str, RunIdentity], RunIdentity]:
    """Return what makes each task, and the run of them all, this one."""
    each = {
        name: identity_of(task.stream.teacher, task.stream.envs, task.session.network, team.config)
        for name, task in team.tasks.items()
    }
    of = {
        name: {
            "env_id": one.env_id,
            "env": one.env,
            "teacher": dump(one.teacher),
            "made_with": dump(fingerprint(team.tasks[name].stream.teacher)),
        }
        for name, one in each.items()
    }
    whole = RunIdentity(
        env_id=" + ".join(one.env_id for one in each.values()),
        env={},
        student=team.network,
        teacher=TeacherFile(source=", ".join(str(one.teacher.source) for one in each.values())),
        config=team.config.to_json(),
        library_versions=library_versions(),
        tasks={**vars(team.settings), "of": of},
    )
    return each, whole
