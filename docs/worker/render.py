"""Renders one frame: what a job's program in Python looks like."""

from ecs_queue.worker import Worker

with Worker.from_env() as work:
    frame = work.payload["frame"]
    work.progress(f"rendering frame {frame}")
    work.result = {"frame": frame, "pixels": frame * 100}
