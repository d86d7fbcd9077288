"""Decide what to run when, and what it is worth. Pure code: logs and prices come in, decisions go out."""
