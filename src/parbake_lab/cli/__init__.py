"""The commands that look at an app from outside."""
