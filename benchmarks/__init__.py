"""What manometer costs: beside the floor, beside its peers, in every state. `python -m benchmarks` runs all of it."""
