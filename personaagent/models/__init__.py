"""Chat models by role and the embedder, behind an endpoint or embedded."""
