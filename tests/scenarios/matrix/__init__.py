"""Every framework with every database library: one N+1 and its clean twin in each cell, run in a process of its own."""
