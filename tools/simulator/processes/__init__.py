"""The simulated servers and workers, which run the product's app, and the oracle that judges what they serve."""
