"""Statistics and regressions that several rooms use."""
