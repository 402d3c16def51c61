"""Why a job waits, why an instance stays half empty, and what would happen to a job that is not
there yet: answers for people, computed on demand from what the running service knows.
"""
