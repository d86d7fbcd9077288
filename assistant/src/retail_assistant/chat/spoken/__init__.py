"""What a language model says: cut into units, held against what the shop's tools have found, and released or not."""
