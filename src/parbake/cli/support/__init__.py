"""What do all commands need? Loading apps, printing, pictures, and ending after a signal."""
