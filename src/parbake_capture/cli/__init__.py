"""The command that installs, shows, checks and removes triggers."""
