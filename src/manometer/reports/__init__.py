"""Recorded reports read back: added up, compared, and shown to people."""
