"""What a worker does besides the lanes: schedules, alerts on late tasks, housekeeping, and the list of workers."""
