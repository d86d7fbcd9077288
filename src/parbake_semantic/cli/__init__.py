"""The commands about question banks and model files."""
