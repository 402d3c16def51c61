"""`ecs-scheduler health`: what a container's HEALTHCHECK runs, since slim images have no curl."""

import http.client
import json
import os
import urllib.error
import urllib.request
from typing import Annotated, Any

from cyclopts import Parameter

from ecs_scheduler.cli.failures import OK, Failed, InvalidInput
from ecs_scheduler.cli.output import Output, print_json, print_lines


def health(
    *,
    url: str | None = None,
    ready: bool = False,
    timeout_s: Annotated[float, Parameter(name="--timeout-s")] = 3.0,
    output: Output = "text",
) -> int:
    """Exit with 0 if the scheduler at URL answers, with 1 if not.

    Args:
        url: Base URL; http://127.0.0.1 with ECS_SCHEDULER_HTTP_PORT (8080) by default.
        ready: Ask whether it is ready (Redis, a fresh cluster model), not only alive.
        timeout_s: Seconds to wait for the answer.
        output: For people or for programs: also what is missing is JSON then.
    """
    base = (url or f"http://127.0.0.1:{os.environ.get('ECS_SCHEDULER_HTTP_PORT') or 8080}").rstrip(
        "/"
    )
    if not base.startswith(("http://", "https://")):
        raise InvalidInput(f"--url: should look like http://127.0.0.1:8080; it is {base!r}")
    asked = f"{base}/{'readyz' if ready else 'healthz'}"
    # Without proxies: the scheduler is on this machine or in this network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=timeout_s) as answer:
            body = answer.read().decode()
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")
        if output == "json":
            print_json(_as_json(body))
        raise Failed(f"{asked} answers {error.code}: {_missing(body)}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        words = getattr(reason, "strerror", None) or reason
        raise Failed(f"{asked} does not answer: {words}") from error
    if output == "text":
        print_lines([body])
        return OK
    try:
        print_json(json.loads(body))
    except ValueError as error:
        raise Failed(f"{asked} answers no JSON: {body[:200]!r}; is --url right?") from error
    return OK


def _as_json(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return {"missing": [body[:200]]}


def _missing(body: str) -> str:
    try:
        return "; ".join(json.loads(body)["missing"])
    except (ValueError, KeyError, TypeError):
        return body[:200]
