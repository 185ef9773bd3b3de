"""Attacks on what the frame protects, run through the real graphs with models that obey every one of them."""
