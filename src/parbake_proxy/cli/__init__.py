"""The command of the proxy."""
