"""What belongs to one process: its forks, event loops, threads, signals and name."""
