"""What the agent can do: one tool a file, and the registry that makes a user's action space."""
