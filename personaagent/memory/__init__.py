"""Episodic and semantic memory: the ledger and a vector index over it."""
