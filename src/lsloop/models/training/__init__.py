"""The fine-tuning that a family trains with.

It runs in one process or several, and is killed and resumed to the same weights.
"""
