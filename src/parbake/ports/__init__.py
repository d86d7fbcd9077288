"""The ports: the protocols of stores, sources, models, executors, hooks and clocks."""
