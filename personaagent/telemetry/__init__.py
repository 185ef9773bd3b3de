"""What is seen of a running deployment: metrics and logs, without what anybody said and without who they are."""
