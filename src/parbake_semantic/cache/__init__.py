"""The semantic cache: it stores answers as they are given, each bound to the data it was computed from."""
