"""Policies as data: a file of named ones, read, chosen for each job, reloaded, tried out."""
