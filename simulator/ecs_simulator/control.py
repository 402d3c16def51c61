"""The control endpoint of a served simulator: what a person or a test does to it from outside.

docs/simulator.md lists the requests.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web

from ecs_simulator.errors import EcsError, FaultError, FleetError, InvariantBroken
from ecs_simulator.faults import faults_from
from ecs_simulator.fleet import group_from
from ecs_simulator.simulation import SimulatedEcs

PREFIX = "/_simulator"
LONGEST_S = 100 * 366 * 86_400
Document = Mapping[str, Any]
Action = Callable[[Document], dict[str, Any]]


class _Refused(Exception):
    """What was asked for makes no sense; the message names the field."""


class Control:
    """The actions behind the routes; `skip` lets the server's clock jump."""

    def __init__(self, ecs: SimulatedEcs, skip: Callable[[float], None] | None) -> None:
        self._ecs = ecs
        self._skip = skip

    def routes(self) -> list[web.RouteDef]:
        """The routes to add to the application."""
        actions: Mapping[str, Action] = {
            "/instances": self.add,
            "/instances/kill": self.kill,
            "/instances/interrupt": self.interrupt,
            "/instances/agent": self.agent,
            "/faults": self.faults,
            "/advance": self.advance,
            "/verify": self.verify,
        }
        return [
            web.get(f"{PREFIX}/state", _handler(self.state)),
            web.get(f"{PREFIX}/tasks", _handler(self.tasks)),
            *(web.post(PREFIX + path, _handler(action)) for path, action in actions.items()),
        ]

    def state(self, _: Document) -> dict[str, Any]:
        """What there is, in figures."""
        ecs = self._ecs
        ecs.advance()
        clusters = {}
        for cluster in ecs.region.clusters.values():
            instances = Counter(one.status for one in cluster.instances.values())
            used = ecs.utilisation(cluster.name) if cluster.status == "ACTIVE" else {}
            clusters[cluster.name] = {
                "status": cluster.status,
                "instances": dict(instances),
                "utilisation": {name: asdict(one) for name, one in used.items()},
            }
        statuses = Counter(record.last_status for record in ecs.tasks())
        statistics = asdict(ecs.statistics)
        return {
            "now": ecs.region.now,
            "clusters": clusters,
            "tasks": dict(statuses),
            "statistics": statistics,
        }

    def tasks(self, _: Document) -> dict[str, Any]:
        """Every task ever started."""
        self._ecs.advance()
        return {"tasks": [asdict(record) for record in self._ecs.tasks()]}

    def add(self, document: Document) -> dict[str, Any]:
        """Add a group of instances."""
        cluster = _text(document, "cluster")
        rest = {name: value for name, value in document.items() if name != "cluster"}
        group = group_from(rest, lambda _: "instances")
        return {"instances": self._ecs.add_instances(cluster, (group,))}

    def kill(self, document: Document) -> dict[str, Any]:
        """Take a host away; ECS notices later."""
        _only(document, "cluster", "instance", "noticed_after_s")
        noticed_after_s = _number(document, "noticed_after_s", 60.0)
        self._ecs.kill_instance(*self._instance(document), noticed_after_s=noticed_after_s)
        return {}

    def interrupt(self, document: Document) -> dict[str, Any]:
        """Give two minutes' Spot notice."""
        _only(document, "cluster", "instance")
        self._ecs.interrupt_spot(*self._instance(document))
        return {}

    def agent(self, document: Document) -> dict[str, Any]:
        """Disconnect or reconnect an agent."""
        _only(document, "cluster", "instance", "connected")
        connected = document.get("connected")
        if not isinstance(connected, bool):
            raise _Refused(f"connected: expected true or false, got {connected!r}")
        self._ecs.set_agent_connected(*self._instance(document), connected=connected)
        return {}

    def faults(self, document: Document) -> dict[str, Any]:
        """Let other things go wrong from now on."""
        self._ecs.set_faults(faults_from(document, "faults"))
        return {}

    def advance(self, document: Document) -> dict[str, Any]:
        """Let time jump."""
        if self._skip is None:
            raise _Refused("advance: this simulator's clock cannot jump")
        _only(document, "seconds")
        self._skip(_number(document, "seconds", None))
        self._ecs.advance()
        return {"now": self._ecs.region.now}

    def verify(self, _: Document) -> dict[str, Any]:
        """Recount everything."""
        self._ecs.advance()
        self._ecs.verify()
        return {"status": "ok"}

    def _instance(self, document: Document) -> tuple[str, str]:
        cluster, instance = _text(document, "cluster"), _text(document, "instance")
        found = self._ecs.region.cluster({"cluster": cluster})
        if instance.rpartition("/")[2] not in found.instances:
            raise _Refused(f"instance: there is no {instance!r} in cluster {cluster!r}")
        return cluster, instance


def _only(document: Document, *known: str) -> None:
    for name in document:
        if name not in known:
            raise _Refused(f"{name}: unknown field; known are {', '.join(known)}")


def _text(document: Document, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise _Refused(f"{name}: expected a string, got {value!r}")
    return value


def _number(document: Document, name: str, default: float | None) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Refused(f"{name}: expected a number from 0 on, got {value!r}")
    if not 0 <= value <= LONGEST_S:
        raise _Refused(f"{name}: expected seconds from 0 to {LONGEST_S}, got {value!r}")
    return float(value)


def _handler(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            document = json.loads(await request.read() or b"{}")
            if not isinstance(document, dict):
                raise _Refused(f"expected a JSON object, got {type(document).__name__}")
            return web.json_response(action(document))
        except ValueError as error:
            return _refusal(400, f"not JSON: {error}")
        except RecursionError:
            return _refusal(400, "nested too deeply")
        except (_Refused, FaultError, FleetError) as error:
            return _refusal(400, str(error))
        except EcsError as error:
            return _refusal(404, error.message)
        except InvariantBroken as error:
            return _refusal(500, str(error))

    return handle


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
