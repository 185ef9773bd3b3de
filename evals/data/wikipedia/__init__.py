"""Recorded encyclopedia pages for evaluations without a network."""
