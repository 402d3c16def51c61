"""The command line `ecs-scheduler`: data on stdout, messages on stderr, the outcome as exit code.

Commands are mounted by name, so that `--help` and each command import only what they need.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from ecs_scheduler.cli.failures import STOPPED, USAGE, exit_code_of, explain

HELP = """Batch jobs for Amazon ECS: queued in Redis, placed by vector
bin-packing, launched once.

Every setting may be given as a flag, as the variable
ECS_SCHEDULER_<SETTING>, or in ecs-scheduler.toml, in this order.

Exit codes: 0 ok, 1 failed, 2 usage or invalid input, 3 Redis, AWS or
the scheduler unreachable, 4 the awaited job failed, 130 interrupted.
"""

RUN = """Run the scheduler until SIGTERM.

It drains then: takes on nothing more, lets running calls end, hands its
claims back. A second signal ends it at once.

Each flag may as well be a variable: ECS_SCHEDULER_LEASE_S for --lease-s,
ECS_SCHEDULER_POLICY__W_CPU for --policy.w-cpu. REDIS_URL, ECS_CLUSTER,
AWS_REGION and all that AWS's SDK reads hold too.
"""

SUBMIT = """Submit one job, or a file of them.

A single job's id goes to standard output. Submitting an id again changes
nothing if the job is the same, and is refused if it is another one. Of a file
all jobs are submitted or, if one of them is invalid, none; jobs that depend on
one another may stand in any order.

    ecs-scheduler submit etl:3 --container main --env DAY=1 -- run --all
    ecs-scheduler submit --file jobs.jsonl
"""

# The first line of a text is what `ecs-scheduler --help` shows.
COMMANDS = {
    "run": ("ecs_scheduler.cli.run:run", RUN),
    "submit": ("ecs_scheduler.cli.submit:submit", SUBMIT),
    "jobs": ("ecs_scheduler.cli.jobs:jobs", "List jobs."),
    "job": ("ecs_scheduler.cli.jobs:job", "Show one job: state, reason, attempts."),
    "logs": (
        "ecs_scheduler.cli.task_logs:logs",
        "Show what a job's task wrote to its logs.",
    ),
    "cancel": ("ecs_scheduler.cli.steering:cancel", "Cancel jobs."),
    "suspend": ("ecs_scheduler.cli.steering:suspend", "Suspend jobs, or the whole queue."),
    "resume": ("ecs_scheduler.cli.steering:resume", "Resume what was suspended."),
    "reprioritise": ("ecs_scheduler.cli.steering:reprioritise", "Give jobs another priority."),
    "explain": ("ecs_scheduler.cli.explaining:explain", "Explain why a job waits."),
    "plan": ("ecs_scheduler.cli.explaining:plan", "Say whether a job would fit now."),
    "wait": ("ecs_scheduler.cli.jobs:wait", "Wait until jobs have ended."),
    "schedule": ("ecs_scheduler.cli.schedule:schedule", "Submit a job again and again, by cron."),
    "graph": ("ecs_scheduler.cli.graph:graph", "Draw jobs that depend on one another."),
    "dead": ("ecs_scheduler.cli.dead:dead", "Documents that are no jobs: list, replay, drop."),
    "events": ("ecs_scheduler.cli.journal:events", "Show the latest transitions of jobs."),
    "schema": ("ecs_scheduler.cli.schema:schema", "Print the JSON Schema of a job document."),
    "policy": ("ecs_scheduler.cli.policy:policy", "Placement policies: validate, show, compare."),
    "decisions": ("ecs_scheduler.cli.decisions:decisions", "List what the decision log keeps."),
    "replay": ("ecs_scheduler.cli.decisions:replay_decision", "Decide a logged decision again."),
    "health": ("ecs_scheduler.cli.health:health", "Ask a running scheduler whether it lives."),
    "demo": ("ecs_scheduler.demo:demo", "Try everything: Valkey, a simulated ECS and a workload."),
    "fuzz": ("ecs_scheduler.fuzz:fuzz", "Try to break the scheduler: faults, in virtual time."),
    "simulate": ("ecs_scheduler.simulate:simulate", "Compare placement policies on a workload."),
    "tune": ("ecs_scheduler.simulate_tuning:tune", "Search the weights of a policy."),
    "record": ("ecs_scheduler.cli.record:record", "Record what a live cluster does."),
    "trace": ("ecs_scheduler.trace:trace", "Turn recorded workloads into jobs."),
}


def build_app() -> App:
    """The command tree, with nothing behind it imported yet."""
    app = App(
        name="ecs-scheduler",
        help=HELP,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
        version=_version,
        # No --no-x or --empty-x twins: a flag that is not given is not set.
        default_parameter=Parameter(negative=()),
    )
    for order, (name, (place, text)) in enumerate(COMMANDS.items()):
        app.command(place, name=name, help=text, sort_key=order)
    app.register_install_completion_command(help="Install completion for this shell.")
    return app


def _version() -> str:
    from importlib.metadata import version  # here, because its imports are for this flag only

    return version("ecs-scheduler")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        result = build_app()(
            arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does. Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except CycloptsError as error:
        _complain(explain(error))
        return USAGE
    except Exception as error:
        code = exit_code_of(error)
        if code is None:
            raise
        _complain(explain(error))
        return code
    return result if isinstance(result, int) else 0


def _complain(message: str) -> None:
    sys.stderr.write(f"ecs-scheduler: {message}\n")
