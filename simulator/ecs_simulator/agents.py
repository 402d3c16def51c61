"""The life of tasks, as agents move them from taking one up to reporting its end: [PROVISIONING] →
PENDING → [ACTIVATING] → RUNNING → [DEACTIVATING] → [STOPPING] → [DEPROVISIONING] → STOPPED.

States in brackets are skipped when they take no time. Each state has one step that leads out of it.
"""

from collections import deque
from collections.abc import Callable, Sequence

from ecs_simulator.agenda import Agenda
from ecs_simulator.errors import InvariantBroken
from ecs_simulator.history import History
from ecs_simulator.options import Options
from ecs_simulator.records import (
    ACTIVATING,
    DEACTIVATING,
    DEPROVISIONING,
    PENDING,
    PROVISIONING,
    RUNNING,
    STATUS_NAMES,
    STOPPED,
    STOPPING,
    Instance,
    Step,
    Task,
)
from ecs_simulator.resources import host_has_room, release

TaskListener = Callable[[Task, float], None]
InstanceListener = Callable[[Instance, float], None]


class Agents:
    """Moves tasks through their lives; keeps the counters and the history as it does.

    Tasks of one call that reach a step at the same moment take it together.
    """

    def __init__(self, options: Options, agenda: Agenda) -> None:
        self._lifecycle = options.lifecycle
        self._agenda = agenda
        self._stopped: deque[Task] = deque()
        self.history = History(options.history_length)
        self.task_changed: TaskListener | None = None
        self.task_ended: Callable[[Task], None] | None = None
        self.tasks_ended = 0
        self.instance_changed: InstanceListener | None = None
        self.spot_noticed: InstanceListener | None = None

    # From launch to RUNNING ------------------------------------------------------------------

    def launch(self, tasks: Sequence[Task], at: float) -> None:
        """Take up the new tasks of one call; the demand of those on an instance is reserved."""
        if not tasks:
            return
        delays = self._lifecycle
        self.history.note(at, "launched", *tasks)
        if tasks[0].launch.awsvpc and delays.provisioning_s:
            for task in tasks:
                task.status = PROVISIONING
            self._agenda.schedule(at + delays.provisioning_s, self._provisioned, tasks)
        else:
            for task in tasks:
                task.status = PENDING
                task.cluster.pending += 1
                if task.instance is not None:
                    task.instance.pending += 1
            self._offer(tasks, at)
        self._tell(tasks, at)

    def placed(self, task: Task, at: float) -> None:
        """Go on with a task that has waited in PROVISIONING and has got an instance."""
        delay = self._lifecycle.provisioning_s if task.launch.awsvpc else 0.0
        self._agenda.schedule(at + delay, self._provisioned, (task,))

    def _provisioned(self, tasks: Sequence[Task], at: float) -> None:
        self._move(tasks, PENDING, at)
        self._offer(tasks, at)

    def _offer(self, tasks: Sequence[Task], at: float) -> None:
        """Give tasks to their agents, which take each up as soon as its host has room."""
        taken = [task for task in tasks if self._is_taken_up(task, at)]
        self._pull(taken, at + self._lifecycle.accept_s)

    def _is_taken_up(self, task: Task, at: float) -> bool:
        instance = task.instance
        if instance is not None:
            if self._is_parked(self._offer, task, at):
                return False
            occupied = instance.lingering or instance.waiting
            if occupied and (instance.waiting or not host_has_room(instance, task)):
                instance.waiting.append(task)
                return False
        task.on_host = True
        return True

    def _pull(self, tasks: Sequence[Task], at: float) -> None:
        """Pull the images of tasks that their agents have taken up."""
        delays = self._lifecycle
        cached: list[Task] = []
        missing: list[Task] = []
        for task in tasks:
            task.connected_at = task.pull_started_at = at
            instance = task.instance
            known = instance is not None and task.launch.work.images <= instance.images
            (cached if known else missing).append(task)
        for some, lasting_s in ((cached, delays.cached_pull_s), (missing, delays.image_pull_s)):
            ready = at + lasting_s
            for task in some:
                task.pull_stopped_at = ready
            if some:
                step = self._activate if delays.activating_s else self._run
                self._agenda.schedule(ready, step, some)

    def _activate(self, tasks: Sequence[Task], at: float) -> None:
        self._move(tasks, ACTIVATING, at)
        self._agenda.schedule(at + self._lifecycle.activating_s, self._run, tasks)

    def _run(self, tasks: Sequence[Task], at: float) -> None:
        ends: dict[float, list[Task]] = {}
        for task in tasks:
            instance, work = task.instance, task.launch.work
            task.started_at = at
            if instance is not None:
                instance.images |= work.images
                if work.has_ports:
                    task.first_port = instance.next_port
                    instance.next_port += work.dynamic_ports
            ends.setdefault(at + natural_run_s(task), []).append(task)
        self._move(tasks, RUNNING, at)
        for end, some in ends.items():
            self._agenda.schedule(end, self._exited, some)

    # From RUNNING to STOPPED -----------------------------------------------------------------

    def _exited(self, tasks: Sequence[Task], at: float) -> None:
        """An essential container of each has ended by itself."""
        told = [task for task in tasks if not self._is_parked(self._exited, task, at)]
        for task in told:
            ended = at if task.started_at is None else task.started_at + natural_run_s(task)
            task.execution_stopped_at = ended
            task.exit_codes = self._codes(task, ended, 137)
            task.stopped_reason = "Essential container in task exited"
        self._stop_wanting(told, at, "EssentialContainerExited")
        for task in told:
            self._host_freed(task, at)
        self._wind_down(told, at)

    def stop(self, task: Task, at: float, code: str, reason: str) -> None:
        """Ask for the end of a task; a task that is stopping already is left alone."""
        if not task.wanted:
            return
        task.stopped_reason = reason
        self._stop_wanting((task,), at, code)
        if task.status == RUNNING:
            self._sigterm(task, at)
            return
        self._forget_plans(task, at)
        self._host_freed(task, at)
        self._wind_down((task,), at)

    def lose(self, task: Task, at: float, code: str, reason: str) -> None:
        """End a task at once, without its agent: the host is gone or no longer ours."""
        if task.status == STOPPED:
            return
        if task.wanted:
            task.stopped_reason = reason
            self._stop_wanting((task,), at, code)
        self._forget_plans(task, at)
        self._host_freed(task, at)
        self._stopped_now((task,), at)

    def _forget_plans(self, task: Task, at: float) -> None:
        """What was going to happen to the image when the task was stopped will not happen."""
        for name in ("connected_at", "pull_started_at", "pull_stopped_at"):
            moment = getattr(task, name)
            if moment is not None and moment > at:
                setattr(task, name, None)

    def _stop_wanting(self, tasks: Sequence[Task], at: float, code: str) -> None:
        if not tasks:
            return
        for task in tasks:
            task.wanted = False
            task.stopping_at = at
            task.stop_code = code
            task.version += 1
            release(task)
        self.history.note(at, code, *tasks)
        self._tell(tasks, at)
        if self.instance_changed is not None:
            for task in tasks:
                if task.instance is not None:
                    self.instance_changed(task.instance, at)

    def _sigterm(self, task: Task, at: float) -> None:
        delays, instance = self._lifecycle, task.instance
        if instance is not None:
            instance.lingering.add(task)
        timeouts = [
            delays.stop_timeout_s if spec.stop_timeout_s is None else spec.stop_timeout_s
            for spec in task.launch.containers
        ]
        grace = min(delays.sigterm_s, max(timeouts))
        natural = (task.started_at or at) + natural_run_s(task)
        self._agenda.schedule(min(at + grace, max(at, natural)), self._terminated, (task,))

    def _terminated(self, tasks: Sequence[Task], at: float) -> None:
        delays = self._lifecycle
        told = [task for task in tasks if not self._is_parked(self._terminated, task, at)]
        for task in told:
            killed = any(
                delays.sigterm_s
                >= (delays.stop_timeout_s if s.stop_timeout_s is None else s.stop_timeout_s)
                for s in task.launch.containers
            )
            task.execution_stopped_at = at
            task.exit_codes = self._codes(task, at, 137 if killed else 143)
            self._host_freed(task, at)
        self._wind_down(told, at)

    def _codes(self, task: Task, at: float, otherwise: int) -> tuple[int | None, ...]:
        """Exit codes at `at`: a container's own when it has ended by then."""
        # Added up as `at` was: the difference of two times would lose the last bit.
        started, work = task.started_at or at, task.launch.work
        if len(task.run_s) == 1 and started + task.run_s[0] <= at:
            return work.exit_codes
        return tuple(
            code if started + run_s <= at else otherwise
            for code, run_s in zip(work.exit_codes, task.run_s, strict=True)
        )

    def _host_freed(self, task: Task, at: float) -> None:
        task.on_host = False
        instance = task.instance
        if instance is None:
            return
        instance.lingering.discard(task)
        if not instance.waiting:
            return
        if task in instance.waiting:
            instance.waiting.remove(task)
        while instance.waiting and host_has_room(instance, instance.waiting[0]):
            follower = instance.waiting.popleft()
            follower.on_host = True
            self._pull((follower,), at)

    def _wind_down(self, tasks: Sequence[Task], at: float) -> None:
        delay = self._lifecycle.deactivating_s
        if delay and tasks and tasks[0].started_at is not None:
            self._move(tasks, DEACTIVATING, at)
            self._agenda.schedule(at + delay, self._report, tasks)
        else:
            self._report(tasks, at)

    def _report(self, tasks: Sequence[Task], at: float) -> None:
        if self._lifecycle.stopping_s and tasks:
            self._move(tasks, STOPPING, at)
            self._agenda.schedule(at + self._lifecycle.stopping_s, self._detach, tasks)
        else:
            self._detach(tasks, at)

    def _detach(self, tasks: Sequence[Task], at: float) -> None:
        delay = self._lifecycle.deprovisioning_s
        if delay and tasks and tasks[0].launch.awsvpc:
            self._move(tasks, DEPROVISIONING, at)
            self._agenda.schedule(at + delay, self._stopped_now, tasks)
        else:
            self._stopped_now(tasks, at)

    def _stopped_now(self, tasks: Sequence[Task], at: float) -> None:
        for task in tasks:
            task.stopped_at = at
            task.due = 0
        self._move(tasks, STOPPED, at)
        self._stopped.extend(tasks)
        self.tasks_ended += len(tasks)
        if self.task_ended is not None:
            for task in tasks:
                self.task_ended(task)

    # Bookkeeping -----------------------------------------------------------------------------

    def _move(self, tasks: Sequence[Task], status: int, at: float) -> None:
        if not tasks:
            return
        for task in tasks:
            old, instance = task.status, task.instance
            if status <= old:
                raise InvariantBroken(
                    f"{task.arn} went from {STATUS_NAMES[old]} to {STATUS_NAMES[status]}",
                    self.history.story(),
                )
            if old == PENDING:
                task.cluster.pending -= 1
                if instance is not None:
                    instance.pending -= 1
            elif old == RUNNING:
                task.cluster.running -= 1
            if status == RUNNING:
                task.cluster.running += 1
            elif status == PENDING:
                task.cluster.pending += 1
                if instance is not None:
                    instance.pending += 1
            task.status = status
            task.version += 1
        self.history.note(at, STATUS_NAMES[status], *tasks)
        self._tell(tasks, at)

    def _tell(self, tasks: Sequence[Task], at: float) -> None:
        if self.task_changed is not None:
            for task in tasks:
                self.task_changed(task, at)

    def changed(self, instance: Instance, at: float) -> None:
        """Tell whoever listens that an instance has changed."""
        if self.instance_changed is not None:
            self.instance_changed(instance, at)

    def _is_parked(self, step: Step, task: Task, at: float) -> bool:
        """Whether the step has to wait for a disconnected agent to come back."""
        instance = task.instance
        if instance is None or instance.agent_connected:
            return False
        instance.parked.append((step, task, at))
        task.due = 0
        return True

    def set_connected(self, instance: Instance, connected: bool, at: float) -> None:
        """Disconnect or reconnect an agent; what happened meanwhile is reported on reconnecting."""
        if instance.agent_connected == connected:
            return
        instance.agent_connected = connected
        instance.version += 1
        self.history.note(at, "connected" if connected else "disconnected", instance)
        if connected:
            parked, instance.parked = instance.parked, []
            for task, step in {task: step for step, task, _ in parked}.items():
                if task.status != STOPPED and task.due == 0:
                    self._agenda.schedule(at, step, (task,))
        self.changed(instance, at)

    def forget_until(self, now: float) -> None:
        """Let go of tasks that have been STOPPED for longer than they can be described."""
        limit = now - self._lifecycle.stopped_visible_s
        while self._stopped and (self._stopped[0].stopped_at or 0.0) <= limit:
            task = self._stopped.popleft()
            task.cluster.tasks.pop(task.id, None)
            if task.instance is not None:
                task.instance.tasks.pop(task.id, None)
            token = task.launch.started_by
            if token is not None:
                peers = task.cluster.by_started_by.get(token, {})
                peers.pop(task.id, None)
                if not peers:
                    task.cluster.by_started_by.pop(token, None)


def natural_run_s(task: Task) -> float:
    """How long the task runs unless it is stopped: until its first essential container ends."""
    if len(task.run_s) == 1:
        return task.run_s[0]
    return min(
        run_s
        for spec, run_s in zip(task.launch.containers, task.run_s, strict=True)
        if spec.essential
    )
