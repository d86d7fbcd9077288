"""What happens to the prefixes that were sent? Predictions against reports, what is held, what is outdated."""
