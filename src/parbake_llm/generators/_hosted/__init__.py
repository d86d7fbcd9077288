"""What the generators for hosted models share: one request within its deadline, and the providers' protocols."""
