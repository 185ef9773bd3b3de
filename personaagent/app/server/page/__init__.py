"""The page: a user signs in as themselves, sees what the agent knows of them, and steers it. One module a view."""
