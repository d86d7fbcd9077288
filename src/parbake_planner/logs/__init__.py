"""Reads the logs that people already have: one module for each format, and one that tells them apart."""
