"""Data that ships with the project, with its attribution."""
