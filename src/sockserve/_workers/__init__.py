"""Processes that serve, and the one that supervises them: what `PreforkStrategy` starts."""
