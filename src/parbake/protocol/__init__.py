"""The freshness protocol, sans-IO: tags, recording, the check, the write rule and generations.

Every store driver runs this code; none of it reads a clock, a file or a socket.
"""
