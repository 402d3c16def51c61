"""Files of AWS Batch SubmitJob requests, turned into files of our own job documents."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ecs_queue.batch import job_from_submit_job
from ecs_queue.document import canonical, read_json
from ecs_queue.errors import InvalidJob
from ecs_scheduler.cli.failures import InvalidInput
from ecs_scheduler.cli.job_files import SHOWN_PROBLEMS, entries, shown


@contextmanager
def converted(file: IO[bytes], name: str, container: str, unique: str) -> Iterator[IO[bytes]]:
    """The same jobs as JSON lines of our own; `unique` and the place in the file name them.

    Raises InvalidInput with what is wrong in each request.
    """
    problems = []
    with tempfile.TemporaryFile() as lines:
        for number, entry in enumerate(entries(file, name)):
            try:
                job = job_from_submit_job(_request(entry.document), container, f"{unique}-{number}")
            except InvalidJob as error:
                problems.append(f"{shown(name)}, {entry.place}: {error}")
            else:
                document = b'{"id":"%b",%b\n' % (job.id.encode(), canonical(job)[1:])
                lines.write(document)
        if not problems and not lines.tell():
            raise InvalidInput(f"--file: {shown(name)} holds no requests")
        if problems:
            more = len(problems) - SHOWN_PROBLEMS
            rest = [f"and {more} more"] if more > 0 else []
            raise InvalidInput(
                "nothing was submitted:\n" + "\n".join(problems[:SHOWN_PROBLEMS] + rest)
            )
        yield lines


def _request(document: bytes) -> dict[str, object]:
    value = read_json(document, "the request")
    if not isinstance(value, dict):
        raise InvalidJob("a SubmitJob request is a JSON object")
    return value
