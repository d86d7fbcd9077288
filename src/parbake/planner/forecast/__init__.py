"""What will be asked: the log of requests, what is learned from it, and the probability of a request."""
