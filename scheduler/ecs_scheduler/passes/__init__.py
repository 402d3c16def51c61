"""The loop of passes: what is gathered, decided and done, and who leads."""
