"""Traces to LangSmith: what leaves the process (``redaction``), through what (``client``), about what (``runs``)."""
