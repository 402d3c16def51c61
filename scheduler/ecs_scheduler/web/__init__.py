"""The HTTP side: health, metrics, jobs in and out."""
