"""Executors: where the partitions of a batch run are computed, when not in the process of the run itself."""
