"""`ecs-scheduler policy`: check policy files, read them in words, compare them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclopts import App, Parameter

from ecs_scheduler.cli.failures import FAILED, OK, InvalidInput
from ecs_scheduler.cli.output import Output, print_json, print_lines
from ecs_scheduler.cli.service_call import ServiceFlags
from ecs_scheduler.policies.book import DEFAULT_NAME, NamedPolicy, PolicyBook
from ecs_scheduler.policies.reading import policy_schema, read_book

RUNNING = ServiceFlags()

policy = App(
    name="policy",
    help="Placement policies: validate, show and compare policy files.",
    default_parameter=Parameter(negative=()),
)


@policy.command
async def validate(file: Path, /) -> int:
    """Say whether a policy file is right; else file, line, field and what was expected.

    Args:
        file: TOML file of policies.
    """
    book = read_book(file)
    named = ", ".join(each.label for each in book.policies)
    print_lines([f"{file}: right; version {book.version}: {named}"])
    return OK


@policy.command
async def show(
    file: Path, name: str | None = None, /, *, json: bool = False, output: Output = "text"
) -> int:
    """Show the policies of a file: name, version, what each is for, and what it says.

    Args:
        file: TOML file of policies.
        name: Only this one.
        json: The same as -o json.
        output: For people or for programs, with every field.
    """
    book = read_book(file)
    chosen = book.policies if name is None else (_find(book, name, file),)
    if json or output == "json":
        print_json({each.name: {"version": each.version, **each.content} for each in chosen})
        return OK
    for number, each in enumerate(chosen):
        print_lines([""] if number else [])
        print_lines(_described(each, book))
    return OK


@policy.command
async def diff(before: Path, after: Path, name: str | None = None, /) -> int:
    """Compare two policy files field by field; exit code 1 when they differ.

    Args:
        before: TOML file of policies.
        after: Another one.
        name: Compare only this policy.
    """
    old, new = read_book(before), read_book(after)
    lines = list(_differences(old, new, name))
    print_lines(lines or ["no difference"])
    return FAILED if lines else OK


@policy.command
async def trial(*, service: ServiceFlags = RUNNING) -> int:
    """Ask a running scheduler how the candidate policy on trial does; exit code 1 if rolled back.

    Args:
        service: The scheduler.
    """
    found = service.ask("/v1/status")["policies"]["trial"]
    if service.output == "json":
        print_json(found)
    elif found is None:
        print_lines(["no policy is on trial"])
    else:
        print_lines(lines_of_trial(found))
    return FAILED if found is not None and found["rolled_back"] else OK


def lines_of_trial(found: Mapping[str, Any]) -> Iterator[str]:
    """A TrialStatus in words."""
    yield f"{found['candidate']}, tried on the jobs of {found['of']}"
    if found["rolled_back"]:
        yield f"  rolled back: {found['rolled_back']}"
    elif found["percent"]:
        yield f"  takes {found['percent']:g} % of them"
    else:
        yield "  in the shadow: takes none of them"
    yield f"  passes that both decided: {found['passes']}"
    for what, key in (("tasks started", "started"), ("empty instances opened", "opened")):
        live, candidate = found[key]
        yield f"  {what}: {live} by {found['of']}, {candidate} by {found['candidate']}"
    yield f"  tasks placed otherwise: {found['moved']}"
    yield from (f"    {each}" for each in found["latest"])
    if any(found["jobs"]):
        for number, name in enumerate((found["of"], found["candidate"])):
            jobs, wait_s, refused = (found[key][number] for key in ("jobs", "wait_s", "refused"))
            yield f"  {name} lately: {jobs} jobs, mean wait {wait_s:.1f} s, {refused:.0%} refused"


@policy.command
async def schema() -> int:
    """Print the JSON Schema of a policy file, for editors that check TOML by one."""
    print_json(policy_schema())
    return OK


def _find(book: PolicyBook, name: str, file: Path) -> NamedPolicy:
    found = book.get(name)
    if found is None:
        names = ", ".join(each.name for each in book.policies)
        raise InvalidInput(f"{file}: there is no policy {name!r}; there are {names}")
    return found


def _described(each: NamedPolicy, book: PolicyBook) -> Iterator[str]:
    yield f"{each.label}"
    if each.about:
        yield f"  {' '.join(each.about.split())}"
    usual = _flat(NamedPolicy(DEFAULT_NAME).content)
    said = {key: value for key, value in _flat(each.content).items() if usual.get(key) != value}
    for key, value in sorted(said.items()):
        yield f"  {key} = {value}"
    if not said:
        yield "  the default: fills what is in use, and opens what costs the least a task"
    users = [f"share {pattern}" for pattern, used in book.shares if used == each.name]
    users += [f"queue {pattern}" for pattern, used in book.queues if used == each.name]
    users += ["all others"] if book.default == each.name else []
    yield f"  used by: {', '.join([*users, 'jobs that name it'])}"
    trial = book.trial
    if trial is not None and trial.candidate == each.name:
        how = f"takes {trial.percent:g} % of the jobs" if trial.percent else "in the shadow only"
        yield f"  on trial beside {trial.of}: {how}"


def _differences(old: PolicyBook, new: PolicyBook, name: str | None) -> Iterator[str]:
    names = [each.name for each in (*old.policies, *new.policies)]
    for each in dict.fromkeys(names):
        if name is not None and each != name:
            continue
        before, after = old.get(each), new.get(each)
        if before is None or after is None:
            yield f"{'+' if before is None else '-'} {(after or before or NamedPolicy('')).label}"
        elif before.version != after.version:
            yield f"~ {each}@{before.version} -> {each}@{after.version}"
            yield from _changed(_flat(before.content), _flat(after.content))
    if name is None:
        yield from _changed(_use(old), _use(new))


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"    {key}: {before.get(key, '-')} -> {after.get(key, '-')}"


def _use(book: PolicyBook) -> dict[str, str]:
    use = {"use.default": book.default, "trial": str(book.trial or "-")}
    use |= {f"use.shares.{pattern}": policy for pattern, policy in book.shares}
    return use | {f"use.queues.{pattern}": policy for pattern, policy in book.queues}


def _flat(content: Mapping[str, Any]) -> dict[str, str]:
    """Field by field, as a person writes them: `score.best_fit`, `weights.gpu`."""
    placement = content["placement"]
    dimensions = ("cpu", "memory", "gpu", "eni")
    flat = {
        f"weights.{dimension}": f"{weight:g}"
        for dimension, weight in zip(dimensions, placement["weights"], strict=True)
    }
    flat |= {f"scalars.{name}": f"{weight:g}" for name, weight in placement["scalar_weights"]}
    flat |= {f"score.{_label(term, 'name')}": f"{term['weight']:g}" for term in placement["terms"]}
    flat |= {f"limits.{each['field']}": str(each["most"]) for each in placement["limits"]}
    chain = ", ".join(_label(each, "type") for each in placement["strategies"])
    prices = placement["prices"]
    flat |= {f"prices.{name}": f"{price:g}" for name, price in prices["of"]}
    rest = {
        "chain": chain,
        "objective": placement["objective"],
        "opens_for": placement["opens_for"] if placement["objective"] == "open" else None,
        "seed": placement["seed"],
        "prices.attribute": prices["attribute"],
        "prices.otherwise": prices["otherwise"],
        "filters": " and ".join(content["filters"]),
        "windows": ", ".join(content["windows"]["texts"]),
        "timezone": content["windows"]["timezone"],
        "fallback": content["fallback"],
        "gear": content["gear"],
        "budget_s": content["budget_s"],
    }
    return flat | {key: str(value) for key, value in rest.items() if value not in ("", None)}


def _label(each: Mapping[str, Any], name: str) -> str:
    return f"{each[name]}({each['field']})" if each["field"] else str(each[name])
