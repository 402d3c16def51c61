"""What `health` says of a scheduler, to people and to programs."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest


class Scheduler(BaseHTTPRequestHandler):
    """Alive, and not ready."""

    def do_GET(self) -> None:
        alive = self.path == "/healthz"
        content = (
            {"status": "ok"} if alive else {"ready": False, "missing": ["no Redis", "no look"]}
        )
        body = json.dumps(content).encode() if self.path != "/broken/readyz" else b"bad gateway"
        self.send_response(200 if alive else 503)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Scheduler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("bare")
def test_programs_get_what_the_scheduler_answers(url: str, cli: Callable[..., Any]) -> None:
    """Also where that is no: the exit code is 1 then, as for people, who read it on stderr."""
    alive = cli("health", "--url", url, "-o", "json")
    assert (alive.code, json.loads(alive.out)) == (0, {"status": "ok"})
    unready = cli("health", "--ready", "--url", url, "-o", "json")
    assert (unready.code, json.loads(unready.out)["missing"]) == (1, ["no Redis", "no look"])
    said = cli("health", "--ready", "--url", url)
    assert (said.code, said.out) == (1, "")
    assert said.err == f"ecs-scheduler: {url}/readyz answers 503: no Redis; no look\n"


@pytest.mark.usefixtures("bare")
def test_an_answer_that_is_no_json_is_shown_as_it_is(url: str, cli: Callable[..., Any]) -> None:
    """As a proxy in between may give."""
    answer = cli("health", "--ready", "--url", f"{url}/broken", "-o", "json")
    assert (answer.code, json.loads(answer.out)) == (1, {"missing": ["bad gateway"]})
