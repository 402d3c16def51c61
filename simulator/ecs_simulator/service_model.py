"""The types of request members, by botocore's model of the service: what AWS refuses before it
looks any closer."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from ecs_simulator.errors import invalid_parameter, serialization_error

Shapes = Mapping[str, Any]

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "structure": ((dict,), "structure"),
    "map": ((dict,), "map"),
    "list": ((list,), "list"),
    "string": ((str,), "string"),
    "boolean": ((bool,), "boolean"),
    "integer": ((int,), "integer"),
    "long": ((int,), "long"),
    "float": ((int, float), "number"),
    "double": ((int, float), "number"),
    "timestamp": ((int, float, str), "timestamp"),
}
_BITS = {"integer": 31, "long": 63}


@cache
def _model() -> Mapping[str, Any]:
    """The model as botocore ships it; read once, when first asked for."""
    import gzip

    folder = files("botocore") / "data" / "ecs" / "2014-11-13"
    packed = folder / "service-2.json.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.is_file() else b""
    return dict(json.loads(raw or (folder / "service-2.json").read_bytes()))


def operation_names() -> frozenset[str]:
    """Every operation of ECS, also those that are not simulated."""
    return frozenset(_model()["operations"])


def checked(
    operation: str, handler: Callable[[Any, Mapping[str, Any]], dict[str, Any]]
) -> Callable[[Any, Mapping[str, Any]], dict[str, Any]]:
    """The handler of an operation, behind a check of every member's type and range.

    For operations that keep what they are given: whoever reads it later can rely on it. The others
    check what they read. A null member is absent; what the model does not know is not looked at.
    """

    def handle(region: Any, request: Mapping[str, Any]) -> dict[str, Any]:
        model = _model()
        name = model["operations"][operation]["input"]["shape"]
        _check(model["shapes"], name, request, operation)
        return handler(region, _without_nulls(request))

    return handle


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def _check(shapes: Shapes, name: str, value: object, where: str) -> None:
    shape = shapes[name]
    kinds, expected = _KINDS[shape["type"]]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise serialization_error(f"{where}: expected {expected}, got {type(value).__name__}")
    if isinstance(value, dict) and shape["type"] == "structure":
        for member, inner in shape["members"].items():
            if value.get(member) is not None:
                _check(shapes, inner["shape"], value[member], f"{where}.{member}")
    elif isinstance(value, dict):
        for key, one in value.items():
            _check(shapes, shape["value"]["shape"], one, f"{where}.{key}")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _check(shapes, shape["member"]["shape"], one, f"{where}[{index}]")
    elif shape["type"] in _BITS:
        _check_range(shape, int(str(value)), where)


def _check_range(shape: Shapes, value: int, where: str) -> None:
    if not -(2 ** _BITS[shape["type"]]) <= value < 2 ** _BITS[shape["type"]]:
        raise serialization_error(f"{where}: {value} is out of the range of {shape['type']}")
    least, most = shape.get("min", value), shape.get("max", value)
    if not least <= value <= most:
        raise invalid_parameter(f"{where} must be between {least} and {most}.")
