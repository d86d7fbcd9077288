"""What a value that somebody gives looks like: durations, sizes, checked settings, and text that may be shown."""
