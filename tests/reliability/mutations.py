"""Lines of the service broken on purpose, one at a time, and the seeds that notice.

By hand: `python tests/reliability/mutations.py [NAME ...]`; docs/reliability.md has the table.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("queue", "placement", "scheduler", "simulator")
LAUNCHING = "scheduler/ecs_scheduler/launching"
MOST_SEEDS = 60


@dataclass(frozen=True, slots=True)
class Mutation:
    """One line, what becomes of it, and the seeds from 1 on within which it must be noticed."""

    name: str
    path: str
    line: str
    broken: str
    seeds: int = MOST_SEEDS


MUTATIONS = (
    Mutation(
        "a launch token is made of the job's id",
        f"{LAUNCHING}/launcher.py",
        "token = LaunchToken(self.identity + self._around.queue.new_token()[len(self.identity) :])",
        "token = LaunchToken(f'{self.identity}{launch.slots[0].job_id:0<32}'[:32])",
    ),
    Mutation(
        "an answer that never came counts as a refusal",
        f"{LAUNCHING}/launcher.py",
        "except CallRefused as error:",
        "except (CallRefused, CallUnknown) as error:",
    ),
    Mutation(
        "stopped tasks are not looked for before a launch counts as absent",
        f"{LAUNCHING}/reconciler.py",
        "arns |= set(stopped or ())",
        "arns |= set()",
    ),
    Mutation(
        "a launch counts as absent as soon as it is looked for",
        f"{LAUNCHING}/reconciler.py",
        "decisive = age_s >= self._around.config.certain_after_s",
        "decisive = True",
    ),
    Mutation(
        "a task is given up after 3 s of MISSING",
        f"{LAUNCHING}/tracker.py",
        "MISSING_FOR_S = 300.0",
        "MISSING_FOR_S = 3.0",
    ),
    Mutation(
        "a new leader does not follow the tasks of the one before",
        f"{LAUNCHING}/tracker.py",
        "self.follow(live.task_arn, live.job_id)",
        "pass",
    ),
    Mutation(
        "strays are seen and left alone",
        f"{LAUNCHING}/strays.py",
        'await around.ecs.stop_task(task.arn, "its job was launched again meanwhile")',
        "await around.ecs.describe_tasks([task.arn])",
        seeds=400,  # most strays end by themselves
    ),
    Mutation(
        "room promised to a launch that another settled is promised for ever",
        "scheduler/ecs_scheduler/cluster/row.py",
        "return asked_at >= promise.certain_at",
        "return False",
    ),
    Mutation(
        "a task that we stopped for its instance's sake counts as failed",
        "scheduler/ecs_scheduler/ecs/tasks.py",
        "return task.stop_code in PLACE_GONE_CODES or (",
        "return bool(task.stop_code) and False and (",
    ),
    Mutation(
        "another server than before is not noticed",
        "queue/ecs_queue/lua/lead.lua",
        "local fence, restarted = leader[3], leader[4] and leader[4] ~= server",
        "local fence, restarted = leader[3], false",
    ),
    Mutation(
        "an infrastructure failure uses up an attempt",
        "queue/ecs_queue/lua/finish.lua",
        "return 'RUNNABLE', reason, 'i', broken",
        "return 'RUNNABLE', reason, 'f', failed",
    ),
    Mutation(
        "a task that has stopped is never struck off the books",
        "queue/ecs_queue/lua/finish.lua",
        "  call('HDEL', LIVE, task)",
        "  ",
    ),
)


@dataclass(frozen=True, slots=True)
class Caught:
    """How many seeds it took, and the first thing said; None where nothing was noticed."""

    seeds: int
    violation: str | None


def caught(mutation: Mutation, folder: Path, *size: str) -> Caught:
    """Break a copy of the sources in `folder` and play seeds until one breaks a promise."""
    for source in SOURCES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / source, folder / source, ignore=ignored)
    path = folder / mutation.path
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(mutation.line, mutation.broken), encoding="utf-8")
    run = subprocess.run(
        [
            *(sys.executable, "-c", "import sys; from ecs_scheduler.cli import main; main()"),
            *("fuzz", "--seeds", str(mutation.seeds), "--workers", "1", "--stop", *size),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(folder / each) for each in SOURCES)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = run.stdout.splitlines()
    seeds = sum(line.startswith("seed ") for line in lines)
    said = (line.strip() for line in lines if line.startswith("  ") and line[2:3].isalpha())
    return Caught(seeds, next(said, None) or (None if seeds else run.stderr[-2000:]))


def main() -> None:
    """A line for each mutation, or each of those named."""
    for mutation in MUTATIONS:
        if sys.argv[1:] and not any(word in mutation.name for word in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = caught(mutation, Path(folder))
        said = found.violation or "NOT NOTICED"
        sys.stdout.write(f"{found.seeds:>3}  {mutation.name}: {said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
