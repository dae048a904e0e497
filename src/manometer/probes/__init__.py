"""Probes: what the process as a whole is doing, read by manometer's own thread."""
