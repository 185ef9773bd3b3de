"""One node a file; the function is named like the file and like the node."""
