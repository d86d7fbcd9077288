"""Export of metrics."""
