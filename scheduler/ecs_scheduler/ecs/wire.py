"""What our ECS clients read off the wire: JSON 1.1 as it is, without the SDK's walk over shapes.

The SDK converts every member by its shape, which takes ten times as long as decoding the JSON. ECS
has no binary members, and its times are numbers: seconds since the epoch, which `parse_*` read.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from aiobotocore.parsers import AioJSONParser, AioResponseParser, AioResponseParserFactory
from botocore.exceptions import BotoCoreError
from pydantic_core import from_json


class UnreadableAnswer(BotoCoreError):  # type: ignore[misc]
    """A success whose body is no JSON object: nobody knows what was done."""

    fmt = "the answer is no JSON object: {start!r}"


class PlainJsonParser(AioJSONParser):  # type: ignore[misc]
    """Answers as decoded JSON; errors are left to the SDK, which needs them in its own form."""

    async def _do_parse(self, response: Mapping[str, Any], shape: object) -> dict[str, Any]:
        body = response["body"]
        try:
            answer = from_json(body, cache_strings="keys") if body else {}
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnreadableAnswer(start=body[:80])
        self._inject_response_metadata(answer, response["headers"])
        return answer


class PlainParsers(AioResponseParserFactory):  # type: ignore[misc]
    """The session's `response_parser_factory`: ours for JSON, the SDK's own for all else."""

    _plain: ClassVar[PlainJsonParser] = PlainJsonParser()

    def create_parser(self, protocol_name: str) -> AioResponseParser:
        """The parser of one protocol."""
        return self._plain if protocol_name == "json" else super().create_parser(protocol_name)


def seconds(moment: float | datetime | None) -> float | None:
    """A time as seconds since the epoch, in whichever form it was read."""
    return moment.timestamp() if isinstance(moment, datetime) else moment
