"""The wiring: one builder a file, each ends with the compiled ``graph`` that langgraph.json names."""
