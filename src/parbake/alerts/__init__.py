"""Where alerts go, one file per URL scheme."""
