"""Parts of ``make bench NAME=planner``."""
