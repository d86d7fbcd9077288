"""The parts of the FAQ benchmark."""
