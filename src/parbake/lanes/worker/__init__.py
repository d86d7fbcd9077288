"""Who keeps it going? Schedules, alerts on late tasks, housekeeping, and who is at work."""
