"""What can go wrong at the queue's edge.

QueueError
├── InvalidJob          a document is not a job: names the field and what was expected
├── QueueUnreachable    Redis does not answer, or refuses us: names the setting to look at
├── LeaseLost           another owner took over, or our lease ran out: stop placing, claim again
└── UnknownJob          no job of this id
"""


class QueueError(Exception):
    """Base of everything this package raises on purpose."""


class InvalidJob(QueueError):
    """A document is not a job; the message names each bad field and what was expected there."""


class QueueUnreachable(QueueError):
    """Redis does not answer, or refuses us."""


class LeaseLost(QueueError):
    """This owner's lease ran out; its claims may belong to somebody else by now."""


class UnknownJob(QueueError):
    """No job of this id is in the queue."""
