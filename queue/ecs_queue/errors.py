"""What can go wrong at the queue's edge.

QueueError
├── InvalidJob          a document is not a job: names the field and what was expected
├── InvalidSchedule     a document is no recurring submission: names the field
├── InvalidGraph        jobs that can't be submitted together: a cycle, a job that is not there
├── InvalidRedisUrl     the URL itself is wrong: names the setting to look at
├── QueueUnreachable    Redis does not answer, or refuses us: names the setting to look at
├── EmbeddedServerFailed  the embedded server did not start: names the end of its log
├── NoAssignment        this process is no task of the queue, or not any more
├── QueueOfAnotherCluster  the books of this queue are kept for another cluster
├── LeaseLost           another owner took over, or our lease ran out: stop placing, claim again
└── UnknownJob          no job of this id, or no task of this ARN
"""


class QueueError(Exception):
    """Base of everything this package raises on purpose."""


class InvalidJob(QueueError):
    """A document is not a job; the message names each bad field and what was expected there."""


class InvalidSchedule(QueueError):
    """A document is no recurring submission; the message names each bad field."""


class InvalidGraph(QueueError):
    """Jobs cannot be submitted together; the message prints the cycle, or names what is missing."""


class InvalidRedisUrl(QueueError):
    """The Redis URL cannot be used as it is written."""


class QueueUnreachable(QueueError):
    """Redis does not answer, or refuses us."""


class EmbeddedServerFailed(QueueError):
    """The embedded server could not be found, or did not come up."""


class NoAssignment(QueueError):
    """This process is no task that the queue launched, or its job does not wait for it any more."""


class QueueOfAnotherCluster(QueueError):
    """Tasks of this queue's jobs are in another cluster, or a scheduler is that fills it."""


class LeaseLost(QueueError):
    """This owner's lease ran out; its claims may belong to somebody else by now."""


class UnknownJob(QueueError):
    """No job of this id is in the queue, or no job ran as this task."""
