"""The evaluation: tasks, systems, metrics and reports."""
