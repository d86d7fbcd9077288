"""The simulated servers and workers: the product's app, with simulated stores, sources and caches."""
