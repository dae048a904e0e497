"""The question of size: which cost grows faster than its input, and which result has no bound?"""
