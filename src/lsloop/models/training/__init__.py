"""Fine-tuning: what a family trains with, in one process or several, killed and resumed to the same
weights."""
