"""What a container does once it runs: run time and exit code by its effective command.

Understood are `true`, `false`, `sleep N`, `exit N` and `sh -c "…; …"` of these, and the variables
ECS_SIMULATOR_RUN_S, ECS_SIMULATOR_EXIT_CODE. Anything else runs for a drawn time, exit code 0.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from ecs_simulator.options import Lifecycle

_SHELLS = {"sh", "bash", "dash", "ash", "/bin/sh", "/bin/bash", "/bin/dash", "/bin/ash"}
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)\Z")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A container runs for `run_s` seconds (None: drawn for each task) and exits with
    `exit_code`."""

    run_s: float | None
    exit_code: int


class SimulatedContainers:
    """Knows what commands do; subclass it, and hand it to SimulatedEcs, to make up workloads of
    your own."""

    def behaviour(self, command: Sequence[str], environment: Mapping[str, str]) -> Behaviour:
        """What a container with this effective command and environment does."""
        run_s = _number(environment.get("ECS_SIMULATOR_RUN_S"))
        code = _number(environment.get("ECS_SIMULATOR_EXIT_CODE"))
        if run_s is not None or code is not None:
            return Behaviour(run_s, int(code or 0) & 0xFF)
        return _understood(list(command)) or Behaviour(None, 0)

    def drawn_run_s(self, rng: Random, lifecycle: Lifecycle) -> float:
        """A run time for a container whose behaviour says none."""
        mean = lifecycle.run_s_mean
        if lifecycle.run_s_distribution == "constant":
            return mean
        if lifecycle.run_s_distribution == "uniform":
            return rng.uniform(0.5 * mean, 1.5 * mean)
        return rng.expovariate(1.0 / mean)


def _number(value: str | None) -> float | None:
    try:
        number = None if value is None else float(value)
    except ValueError:
        return None
    return number if number is None or 0 <= number < float("inf") else None


def _understood(words: list[str]) -> Behaviour | None:
    if len(words) >= 3 and words[0] in _SHELLS and words[1] in ("-c", "-ec"):
        return _script(words[2])
    if len(words) == 1 and len(words[0].split()) > 1:
        return _script(words[0])
    return _simple(words)


def _script(script: str) -> Behaviour | None:
    run_s, code = 0.0, 0
    for piece in re.split(r"&&|;|\n", script):
        words = piece.split()
        if not words:
            continue
        step = _simple(words)
        if step is None or step.run_s is None:
            return None
        run_s += step.run_s
        code = step.exit_code
        if words[0] == "exit":
            break
    return Behaviour(run_s, code)


def _simple(words: list[str]) -> Behaviour | None:
    program = words[0].rpartition("/")[2] if words else ""
    if program in ("true", ":", "echo"):
        return Behaviour(0.0, 0)
    if program == "false":
        return Behaviour(0.0, 1)
    if program == "sleep" and len(words) > 1:
        lengths = [_DURATION.match(word) for word in words[1:]]
        if all(lengths):
            return Behaviour(
                sum(float(match[1]) * _UNITS[match[2]] for match in lengths if match), 0
            )
    if program == "exit" and len(words) <= 2 and words[-1].isdigit():
        return Behaviour(0.0, int(words[-1]) & 0xFF)
    return None
