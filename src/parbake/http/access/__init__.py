"""Who may do what? Hosts and sites that are admitted, who sends a request, keys, and a limit for new tags."""
