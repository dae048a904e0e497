"""Sharing: who waits for whom?"""
