"""The truth: interactions, facts, persona versions and queues in a transactional database."""
