"""What do servers and operators do about prefixes? Alerts, warm-ups, followed plans, and the report."""
