"""What labels say: answers read and compared, losses, counts, drift, and labels found in a conversation."""
