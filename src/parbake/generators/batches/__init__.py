"""The batch interfaces of providers. Each is also the generator for the same model, which asks directly."""
