"""Values that users give: durations, sizes, checked settings, and text that is safe to show."""
