"""The protocols that the proxy speaks: which question a request asks, and how answers look whole and in pieces."""
