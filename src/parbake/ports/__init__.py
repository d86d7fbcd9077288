"""What is asked of others: the protocols of stores, sources, models, executors, hooks and clocks."""
