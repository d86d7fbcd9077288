"""The simulated application: its tasks, its views, and the systems of record that they read."""
