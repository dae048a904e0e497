"""A small web shop that is fine with five orders and slow with a hundred."""
