"""The steps of a store, written once for every driver."""
