"""Which boundaries are missing?"""
