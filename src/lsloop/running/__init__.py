"""Work that goes on by itself: rounds, sync, queued jobs, the doctor."""
