"""The persona: its shape, its proposers, and the rules by which a version is accepted."""
