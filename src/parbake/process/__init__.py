"""What one process shares: its forks, event loops, threads, signals and name."""
