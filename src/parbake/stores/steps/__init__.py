"""The steps of a store, written once for all drivers."""
