"""What to run when, and what it is worth. Pure: logs and prices come in, decisions go out."""
