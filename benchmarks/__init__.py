"""How fast lsloop is, side by side with what it stands on: each measure as a ratio to its ceiling, in one
run."""
