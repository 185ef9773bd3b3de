"""How people and programs reach the agent."""
