"""The semantic cache: it stores answers as they are given, each bound to what it was made of."""
