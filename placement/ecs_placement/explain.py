"""A decision in one sentence for a person. Pure and cheap: callers keep the sentence per shape."""

from ecs_placement.plan import Decision, GangWait, Reason, Reject, Reservation, Start, Tally, Wait
from ecs_placement.request import Shape
from ecs_placement.snapshot import Snapshot

_NOUN = {
    Reason.CPU: "CPU",
    Reason.MEMORY: "memory",
    Reason.GPU: "GPUs",
    Reason.ENI: "task network interfaces",
}
_STATE = {
    Reason.SKEW: "where the group has as many as the policy's skew limit allows",
    Reason.AGENT: "with a disconnected agent",
    Reason.DRAINING: "draining or not active",
    Reason.AVOIDED: "set aside for a while",
    Reason.RESERVED: "kept for another request",
}


def sentence(decision: Decision, shape: Shape, snapshot: Snapshot | None = None) -> str:
    """Say what was decided and why, e.g. "no room on 200 instances: 180 short of CPU (nearest
    short by 256 units)".

    Without the snapshot the number of instances is left out. The tallies count an instance under
    each of its reasons.
    """
    if isinstance(decision, Start):
        return f"starts on {decision.instance_id}, then {decision.score:.0%} full"
    if isinstance(decision, Reject):
        return _rejected(decision, shape)
    kept = "" if decision.reservation is None else _kept(decision.reservation)
    if decision.gang is not None and (snapshot is None or len(snapshot)):
        return _gang_waits(decision.gang, _no_room(decision, shape, snapshot)) + kept
    if not decision.reasons:
        return _unexplained(snapshot)
    return _no_room(decision, shape, snapshot) + kept


def _kept(reservation: Reservation) -> str:
    name = (reservation.instance_id or "").rpartition("/")[2]
    return f"; room is kept for it on {name}"


def _no_room(decision: Wait, shape: Shape, snapshot: Snapshot | None) -> str:
    if not decision.reasons:
        return ""
    where = "" if snapshot is None else f" on {_instances(len(snapshot))}"
    return f"no room{where}: " + ", ".join(_why(tally, shape) for tally in decision.reasons)


def _gang_waits(gang: GangWait, no_room: str) -> str:
    if gang.present < gang.size:
        return (
            f"gang {gang.id} waits for {gang.size - gang.present} more of its {gang.size} members"
        )
    fit = f"gang {gang.id} starts whole or not at all: {gang.fit} of its {gang.size} members fit"
    return f"{fit}; for the next there is {no_room}" if no_room else fit


def _unexplained(snapshot: Snapshot | None) -> str:
    if snapshot is not None and len(snapshot):
        return "waits, though instances have room now: a later pass will place it"
    return "the cluster has no container instances"


def _why(tally: Tally, shape: Shape) -> str:
    if tally.reason in _NOUN or tally.reason is Reason.SCALAR:
        noun, short = _NOUN.get(tally.reason, tally.name), _amount(tally.reason, tally.short_by)
        return f"{tally.instances} short of {noun} (nearest short by {short})"
    if tally.reason is Reason.PORTS:
        return f"{tally.instances} with host port {_port_list(shape)} in use"
    if tally.reason is Reason.ATTRIBUTE:
        return f"{tally.instances} without {_attribute_list(shape)}"
    if tally.reason is Reason.MEMBER_OF:
        return f"{tally.instances} outside {_expressions(shape)}"
    if tally.reason is Reason.DISTINCT:
        return f"{tally.instances} with a task of group {shape.group}"
    return f"{tally.instances} {_STATE[tally.reason]}"


def _rejected(decision: Reject, shape: Shape) -> str:
    if decision.because_of is not None:
        return f"its gang can never start: no registered instance could take {decision.because_of}"
    demand = dict(
        zip((Reason.CPU, Reason.MEMORY, Reason.GPU, Reason.ENI), shape.demand, strict=False)
    )
    parts = []
    for tally in decision.reasons:
        if tally.reason is Reason.SCALAR:
            asked = dict(shape.scalars)[tally.name]
            largest = asked - tally.short_by
            parts.append((f"needs {asked} {tally.name}", f"the largest {{}} has {largest}", tally))
        elif tally.reason in demand:
            asked = demand[tally.reason]
            largest = asked - tally.short_by
            parts.append((_needs(tally.reason, asked), f"the largest {{}} has {largest}", tally))
        elif tally.reason is Reason.MEMBER_OF:
            parts.append((f"must be in {_expressions(shape)}", "no {} is", tally))
        else:
            parts.append((f"needs {_attribute_list(shape)}", "no {} has it", tally))
    if len(parts) == 1:
        needs, has, _ = parts[0]
        return f"{needs}; {has.format('registered instance')}"
    listed = ", ".join(
        f"{needs} ({t.instances} fail, {has.format('of them')})" for needs, has, t in parts
    )
    return f"no registered instance could take it even when empty: {listed}"


def _needs(reason: Reason, asked: int) -> str:
    if reason is Reason.CPU:
        return f"needs {asked} CPU units"
    if reason is Reason.MEMORY:
        return f"needs {asked} MiB of memory"
    return f"needs {asked} {_NOUN[reason] if asked > 1 else _NOUN[reason][:-1]}"


def _amount(reason: Reason, amount: int) -> str:
    if reason is Reason.MEMORY:
        return f"{amount} MiB"
    return f"{amount} unit{'' if amount == 1 else 's'}" if reason is Reason.CPU else str(amount)


def _instances(count: int) -> str:
    return f"{count} instance{'' if count == 1 else 's'}"


def _port_list(shape: Shape) -> str:
    tcp = [f"{port}/tcp" for port in sorted(shape.ports_tcp)]
    return " or ".join(tcp + [f"{port}/udp" for port in sorted(shape.ports_udp)])


def _attribute_list(shape: Shape) -> str:
    wanted = sorted(
        name if value is None else f"{name}={value}" for name, value in shape.required_attributes
    )
    return ("attribute " if len(wanted) == 1 else "attributes ") + " and ".join(wanted)


def _expressions(shape: Shape) -> str:
    return " and ".join(f"memberOf({text})" for text in shape.member_of)
