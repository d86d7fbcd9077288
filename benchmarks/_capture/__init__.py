"""Parts of the benchmark of captured changes."""
