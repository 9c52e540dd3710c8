"""What people and models answer, in the terms of a label config. Pure: no network, no files, no SDK."""
