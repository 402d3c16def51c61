"""The commands `explain` and `plan`: what a running scheduler knows of a job, an instance, or a
job that is not submitted yet.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ecs_queue.job import MAX_SENT_BYTES
from ecs_scheduler.cli.failures import FAILED, OK, InvalidInput
from ecs_scheduler.cli.output import one_line, print_json, print_lines
from ecs_scheduler.cli.service_call import ServiceFlags, quoted
from ecs_scheduler.explaining.words import duration

DEFAULT_SERVICE = ServiceFlags()
SHOWN_KINDS = 20
_UNITS = {"RESOURCE:CPU": "CPU units", "RESOURCE:MEMORY": "MiB", "RESOURCE:GPU": "GPUs"}


def explain(
    job_id: str | None = None,
    /,
    *,
    instance: str | None = None,
    service: ServiceFlags = DEFAULT_SERVICE,
) -> int:
    """Explain why a job waits, or why an instance stays half empty.

    Args:
        job_id: Id of the job.
        instance: Id, ARN or EC2 instance id of a container instance, instead of a job.
        service: The scheduler to ask.
    """
    if (job_id is None) == (instance is None):
        raise InvalidInput("explain: name a job, or an instance with --instance; one of the two")
    if instance is not None:
        answer = service.ask(f"/v1/explanations/instances/{quoted(instance)}")
        lines = _instance(answer)
    else:
        answer = service.ask(f"/v1/explanations/jobs/{quoted(job_id or '')}")
        lines = _job(answer)
    if service.output == "json":
        print_json(answer)
    else:
        print_lines(one_line(line) for line in lines)
    return OK


def plan(file: Path, /, *, service: ServiceFlags = DEFAULT_SERVICE) -> int:
    """Say whether a job would fit now, where, and when otherwise; nothing is submitted.

    Exits with 0 if all of it fits now, with 1 if not.

    Args:
        file: A file with one job document, - for standard input.
        service: The scheduler to ask.
    """
    answer = service.ask("/v1/plans", _document(file))
    if service.output == "json":
        print_json(answer)
    else:
        print_lines(one_line(line) for line in _plan(answer))
    return OK if answer["verdict"] == "now" else FAILED


def _document(file: Path) -> bytes:
    try:
        if str(file) == "-":
            document = sys.stdin.buffer.read(MAX_SENT_BYTES + 1)
        else:
            with file.open("rb") as opened:
                document = opened.read(MAX_SENT_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}") from error
    if len(document) > MAX_SENT_BYTES:
        raise InvalidInput(f"{file}: one job takes at most {MAX_SENT_BYTES} bytes")
    return document


def _job(answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"{answer['job_id']} is {answer['state']}: {answer['summary']}"
    for each in answer["depends_on"]:
        yield f"  depends on {each['job_id']} ({each['type']}), which is {each['state']}"
    queue = answer["queue"]
    if queue is not None:
        yield (
            f"queue      {queue['ahead']} jobs ahead, {queue['ahead_equal']} of them equal to it; "
            f"{queue['beyond_window']} more wait beyond the window"
        )
    if answer["launching"] is not None:
        budget = answer["launching"]
        yield (
            f"API budget {budget['calls_now']} launch calls at once, then "
            f"{budget['calls_per_s']:g} a second"
        )
    for share in answer["shares"]:
        bound = "" if share["max_running"] is None else f" of at most {share['max_running']}"
        yield (
            f"share      {share['share']}: {share['running']} running{bound}, "
            f"{share['dominant_share']:.0%} of the scarcest resource, weight {share['weight']:g}, "
            f"{share['waiting']} waiting"
        )
    yield f"policy     {answer['policy']}"
    if answer["placement"] is not None:
        yield from _placement(answer["placement"])
        yield from _eta(answer)


def _plan(answer: Mapping[str, Any]) -> Iterator[str]:
    yield answer["summary"]
    yield f"policy     {answer['policy']}"
    yield from _placement(answer["placement"])
    if answer["verdict"] in ("later", "in part") and not answer["held_back"]:
        yield from _eta(answer)


def _placement(placement: Mapping[str, Any]) -> Iterator[str]:
    for number, ranked in enumerate(placement["ranked"]):
        terms = ", ".join(f"{term['name']} {term['value']:.2f}" for term in ranked["terms"])
        what = "would go to" if number == 0 else "runner-up "
        yield f"{what} {_short(ranked['instance_id'])}  ({terms or 'best fit'})"
    for tally in placement["tallies"]:
        least = _by(tally["reason"], tally["short_by"])
        yield f"fails      on {tally['instances']} instances: {tally['reason']}{least}"
    for near in placement["nearest"]:
        lacks = ", ".join(
            each["reason"] + _by(each["reason"], each["short_by"]) + _detail(each["detail"])
            for each in near["lacks"]
        )
        yield f"nearest    {_short(near['instance_id'])} ({near['instance_type']}): {lacks}"
    for change in placement["changes"]:
        less = _by(change["reason"], change["short_by"])
        what = f"{change['reason']} less{less}" if less else f"without {change['reason']}"
        yield f"would help {what}: then {change['instances']} instances fit"
    for kind in placement["types"]:
        yield (
            f"if empty   {kind['would_do']} of {kind['instances']} instances of type "
            f"{kind['name']} would do"
        )


def _eta(answer: Mapping[str, Any]) -> Iterator[str]:
    eta, types = answer["eta"], answer["placement"]["types"]
    if eta is None and types and not any(kind["would_do"] for kind in types):
        yield "may start  once an instance is registered that could hold it"
        return
    if eta is None:
        yield "may start  cannot be told: too little was launched in the last minutes"
        return
    yield (
        f"may start  in about {duration(eta['in_s'])}, in 4 cases of 5 between "
        f"{duration(eta['low_s'])} and {duration(eta['high_s'])} (by {eta['by']})"
    )
    record = answer.get("track_record")
    if record is not None:
        yield (
            f"           of the last {record['forecasts']} forecasts {record['within']:.0%} came "
            f"true within their range; the median wait was {record['median_ratio']:.2f} × forecast"
        )


def _instance(answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"{answer['instance_id']} ({answer['instance_type']}): {answer['summary']}"
    yield f"state      {answer['availability']}, {answer['running_tasks']} tasks running"
    for name, total in answer["total"].items():
        if total:
            free = answer["free"][name]
            yield f"{name:<10} {free} of {total} free ({free / total:.0%})"
    for each in answer["waiting"][:SHOWN_KINDS]:
        lacks = ", ".join(each["lacks"]) or "fits"
        yield f"{each['jobs']} waiting such as {each['example']} ({each['needs']}): {lacks}"
    more = sum(each["jobs"] for each in answer["waiting"][SHOWN_KINDS:])
    if more:
        yield f"{more} waiting of other kinds (-o json lists them)"


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]


def _by(reason: str, short_by: int) -> str:
    return f" by {short_by} {_UNITS.get(reason, '')}".rstrip() if short_by else ""


def _detail(detail: str) -> str:
    return f" ({detail})" if detail else ""
