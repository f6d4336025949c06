"""Benchmarks: sockserve beside the standard library's socketserver, in one run. Programs, not tests."""
