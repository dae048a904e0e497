"""Where reports go: one file each, loaded by name when it is asked for."""
