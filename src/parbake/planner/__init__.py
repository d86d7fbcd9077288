"""Decides which values to compute when, and what that saves. Pure code: logs and prices in, decisions out."""
