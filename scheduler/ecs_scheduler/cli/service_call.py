"""Asks a running scheduler over HTTP, for commands whose answer only it knows."""

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from ecs_scheduler.cli.failures import Failed, InvalidInput, ServiceUnreachable
from ecs_scheduler.cli.output import Output


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ServiceFlags:
    """Which scheduler to ask, and how to answer."""

    url: str | None = None
    """Base URL; http://127.0.0.1 with ECS_SCHEDULER_HTTP_PORT (8080) by default."""
    timeout_s: Annotated[float, Parameter(name="--timeout-s", validator=Number(gt=0))] = 10.0
    """Seconds to wait for the answer."""
    output: Output = "text"
    """For people or for programs."""

    @property
    def base(self) -> str:
        """The URL without a slash at its end. Raises InvalidInput."""
        port = os.environ.get("ECS_SCHEDULER_HTTP_PORT") or 8080
        base = (self.url or f"http://127.0.0.1:{port}").rstrip("/")
        if not base.startswith(("http://", "https://")):
            raise InvalidInput(f"--url: should look like http://127.0.0.1:8080; it is {base!r}")
        return base

    def ask(self, path: str, body: bytes | None = None) -> Any:
        """The parsed answer to GET, or to POST with a body.

        Raises InvalidInput for what the service calls the user's mistake, Failed for any other
        refusal, ServiceUnreachable if nobody answers, or can answer now.
        """
        request = urllib.request.Request(self.base + path, data=body)
        # Without proxies: the scheduler is on this machine or in this network.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self.timeout_s) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code >= 500:
                raise ServiceUnreachable(
                    f"the scheduler at {self.base} cannot answer: {_said(error)}"
                ) from error
            kind = InvalidInput if error.code in (400, 404, 413, 422) else Failed
            raise kind(_said(error)) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            words = getattr(reason, "strerror", None) or reason
            raise ServiceUnreachable(
                f"the scheduler at {self.base} does not answer: {words}; "
                "is `ecs-scheduler run` up, and is --url right?"
            ) from error


def quoted(name: str) -> str:
    """A name as part of a path."""
    return urllib.parse.quote(name, safe="")


def _said(error: urllib.error.HTTPError) -> str:
    body = error.read().decode(errors="replace")
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url} answers {error.code}: {body[:200]}"
