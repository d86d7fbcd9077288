"""The HTTP surface: bare ASGI, so that a read costs microseconds rather than a framework."""
