"""The library: one class that a program of one's own, the command line and the servers are written over."""
