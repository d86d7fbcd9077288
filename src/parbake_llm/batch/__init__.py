"""Batch runs through a provider's batch interface: prompts are collected and submitted, and the answers are stored."""
