"""What a live cluster did, kept so that policies can be tried on it: jobs that ended, and which
instances there were.
"""
