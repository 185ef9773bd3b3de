"""Benchmarks and soaks: measured by hand or by `make bench` and `make soak`, never a timed test."""
