"""Copies that come back under real servers, and stores for which a writer waits."""
