"""What should run: the job contract and its life in Redis."""
