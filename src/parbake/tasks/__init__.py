"""Declarations: tasks, the roles of their parameters, and their contracts. Pure: no store, clock or client."""
