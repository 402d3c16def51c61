"""The life of tasks, as agents move them from taking one up to reporting its end: [PROVISIONING] →
PENDING → [ACTIVATING] → RUNNING → [DEACTIVATING] → [STOPPING] → [DEPROVISIONING] → STOPPED.

States in brackets are skipped when they take no time. Each state has one step that leads out of it.
"""

from collections import deque
from collections.abc import Callable

from ecs_simulator.agenda import Agenda
from ecs_simulator.errors import InvariantBroken
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
    """Moves tasks through their lives; keeps the counters and the history as it does."""

    def __init__(self, options: Options, agenda: Agenda) -> None:
        self._lifecycle = options.lifecycle
        self._agenda = agenda
        self._stopped: deque[Task] = deque()
        self.history: deque[tuple[float, str, str]] = deque(maxlen=options.history_length)
        self.task_changed: TaskListener | None = None
        self.instance_changed: InstanceListener | None = None
        self.spot_noticed: InstanceListener | None = None

    # From launch to RUNNING ------------------------------------------------------------------

    def launch(self, task: Task, at: float) -> None:
        """Take up a new task; its demand is already reserved when it has an instance."""
        delays = self._lifecycle
        self.history.append((at, "launched", task.arn))
        if task.launch.awsvpc and delays.provisioning_s:
            task.status = PROVISIONING
            self._agenda.schedule(at + delays.provisioning_s, self._provisioned, task)
        else:
            self._enter_pending(task)
            self._offer(task, at)
        if self.task_changed is not None:
            self.task_changed(task, at)

    def placed(self, task: Task, at: float) -> None:
        """Go on with a task that has waited in PROVISIONING and has got an instance."""
        delay = self._lifecycle.provisioning_s if task.launch.awsvpc else 0.0
        self._agenda.schedule(at + delay, self._provisioned, task)

    def _enter_pending(self, task: Task) -> None:
        task.status = PENDING
        task.cluster.pending += 1
        if task.instance is not None:
            task.instance.pending += 1

    def _provisioned(self, task: Task, at: float) -> None:
        self._move(task, PENDING, at)
        self._offer(task, at)

    def _offer(self, task: Task, at: float) -> None:
        """Give the task to its agent, which takes it up as soon as the host has room."""
        instance = task.instance
        if instance is not None:
            if self._is_parked(self._offer, task, at):
                return
            occupied = instance.lingering or instance.waiting
            if occupied and (instance.waiting or not host_has_room(instance, task)):
                instance.waiting.append(task)
                return
        self._pull(task, at + self._lifecycle.accept_s)

    def _pull(self, task: Task, at: float) -> None:
        delays, instance = self._lifecycle, task.instance
        cached = instance is not None and all(
            spec.image in instance.images for spec in task.launch.containers
        )
        task.on_host = True
        task.connected_at = task.pull_started_at = at
        ready = at + (delays.cached_pull_s if cached else delays.image_pull_s)
        task.pull_stopped_at = ready
        self._agenda.schedule(ready, self._activate if delays.activating_s else self._run, task)

    def _activate(self, task: Task, at: float) -> None:
        self._move(task, ACTIVATING, at)
        self._agenda.schedule(at + self._lifecycle.activating_s, self._run, task)

    def _run(self, task: Task, at: float) -> None:
        instance, containers = task.instance, task.launch.containers
        task.started_at = at
        if instance is not None:
            for spec in containers:
                if spec.image not in instance.images:
                    instance.images.add(spec.image)
                if spec.ports:
                    task.first_port = task.first_port or instance.next_port
                    instance.next_port += sum(port[1] == 0 for port in spec.ports)
        self._move(task, RUNNING, at)
        self._agenda.schedule(at + natural_run_s(task), self._exited, task)

    # From RUNNING to STOPPED -----------------------------------------------------------------

    def _exited(self, task: Task, at: float) -> None:
        """An essential container has ended by itself."""
        if self._is_parked(self._exited, task, at):
            return
        ended = at if task.started_at is None else task.started_at + natural_run_s(task)
        task.execution_stopped_at = ended
        task.exit_codes = self._codes(task, ended, 137)
        task.stopped_reason = "Essential container in task exited"
        self._stop_wanting(task, at, "EssentialContainerExited")
        self._host_freed(task, at)
        self._wind_down(task, at)

    def stop(self, task: Task, at: float, code: str, reason: str) -> None:
        """Ask for the end of a task; a task that is stopping already is left alone."""
        if not task.wanted:
            return
        task.stopped_reason = reason
        self._stop_wanting(task, at, code)
        if task.status == RUNNING:
            self._sigterm(task, at)
            return
        self._forget_plans(task, at)
        self._host_freed(task, at)
        self._wind_down(task, at)

    def lose(self, task: Task, at: float, code: str, reason: str) -> None:
        """End a task at once, without its agent: the host is gone or no longer ours."""
        if task.status == STOPPED:
            return
        if task.wanted:
            task.stopped_reason = reason
            self._stop_wanting(task, at, code)
        self._forget_plans(task, at)
        self._host_freed(task, at)
        self._stopped_now(task, at)

    def _forget_plans(self, task: Task, at: float) -> None:
        """What was going to happen to the image when the task was stopped will not happen."""
        for name in ("connected_at", "pull_started_at", "pull_stopped_at"):
            moment = getattr(task, name)
            if moment is not None and moment > at:
                setattr(task, name, None)

    def _stop_wanting(self, task: Task, at: float, code: str) -> None:
        task.wanted = False
        task.stopping_at = at
        task.stop_code = code
        task.version += 1
        release(task)
        self.history.append((at, code, task.arn))
        if self.task_changed is not None:
            self.task_changed(task, at)
        if task.instance is not None and self.instance_changed is not None:
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
        self._agenda.schedule(min(at + grace, max(at, natural)), self._terminated, task)

    def _terminated(self, task: Task, at: float) -> None:
        if self._is_parked(self._terminated, task, at):
            return
        delays = self._lifecycle
        killed = any(
            delays.sigterm_s
            >= (delays.stop_timeout_s if s.stop_timeout_s is None else s.stop_timeout_s)
            for s in task.launch.containers
        )
        task.execution_stopped_at = at
        task.exit_codes = self._codes(task, at, 137 if killed else 143)
        self._host_freed(task, at)
        self._wind_down(task, at)

    def _codes(self, task: Task, at: float, otherwise: int) -> tuple[int | None, ...]:
        """Exit codes at `at`: a container's own when it has ended by then."""
        # Added up as `at` was: the difference of two times would lose the last bit.
        started = task.started_at or at
        return tuple(
            spec.behaviour.exit_code if started + run_s <= at else otherwise
            for spec, run_s in zip(task.launch.containers, task.run_s, strict=True)
        )

    def _host_freed(self, task: Task, at: float) -> None:
        task.on_host = False
        instance = task.instance
        if instance is None:
            return
        instance.lingering.discard(task)
        if instance.waiting and task in instance.waiting:
            instance.waiting.remove(task)
        while instance.waiting and host_has_room(instance, instance.waiting[0]):
            self._pull(instance.waiting.popleft(), at)

    def _wind_down(self, task: Task, at: float) -> None:
        if self._lifecycle.deactivating_s and task.started_at is not None:
            self._move(task, DEACTIVATING, at)
            self._agenda.schedule(at + self._lifecycle.deactivating_s, self._report, task)
        else:
            self._report(task, at)

    def _report(self, task: Task, at: float) -> None:
        if self._lifecycle.stopping_s:
            self._move(task, STOPPING, at)
            self._agenda.schedule(at + self._lifecycle.stopping_s, self._detach, task)
        else:
            self._detach(task, at)

    def _detach(self, task: Task, at: float) -> None:
        if task.launch.awsvpc and self._lifecycle.deprovisioning_s:
            self._move(task, DEPROVISIONING, at)
            self._agenda.schedule(at + self._lifecycle.deprovisioning_s, self._stopped_now, task)
        else:
            self._stopped_now(task, at)

    def _stopped_now(self, task: Task, at: float) -> None:
        task.stopped_at = at
        task.due = 0
        self._move(task, STOPPED, at)
        self._stopped.append(task)

    # Bookkeeping -----------------------------------------------------------------------------

    def _move(self, task: Task, status: int, at: float) -> None:
        old, cluster, instance = task.status, task.cluster, task.instance
        if status <= old:
            raise InvariantBroken(
                f"{task.arn} went from {STATUS_NAMES[old]} to {STATUS_NAMES[status]}", self.story()
            )
        if old == PENDING:
            cluster.pending -= 1
            if instance is not None:
                instance.pending -= 1
        elif old == RUNNING:
            cluster.running -= 1
        if status == PENDING:
            cluster.pending += 1
            if instance is not None:
                instance.pending += 1
        elif status == RUNNING:
            cluster.running += 1
        task.status = status
        task.version += 1
        self.history.append((at, STATUS_NAMES[status], task.arn))
        if self.task_changed is not None:
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
        self.history.append((at, "connected" if connected else "disconnected", instance.arn))
        if connected:
            parked, instance.parked = instance.parked, []
            for task, step in {task: step for step, task, _ in parked}.items():
                if task.status != STOPPED and task.due == 0:
                    self._agenda.schedule(at, step, task)
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

    def story(self) -> tuple[str, ...]:
        """The latest changes, oldest first, as lines."""
        return tuple(f"{at:.3f} {what} {who}" for at, what, who in self.history)


def natural_run_s(task: Task) -> float:
    """How long the task runs unless it is stopped: until its first essential container ends."""
    if len(task.run_s) == 1:
        return task.run_s[0]
    return min(
        run_s
        for spec, run_s in zip(task.launch.containers, task.run_s, strict=True)
        if spec.essential
    )
