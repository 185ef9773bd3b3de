"""The nodes of the alignment subgraph (paper, test-time user-preference alignment)."""
