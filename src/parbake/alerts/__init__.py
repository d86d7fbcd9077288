"""Where alerts are sent, one module per URL scheme."""
