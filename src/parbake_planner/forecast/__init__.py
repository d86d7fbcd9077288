"""Forecast demand: the request log, what is learned from it, and the probability of a request."""
