"""Executors: where the partitions of a batch run are computed, if not in the process of the run itself."""
