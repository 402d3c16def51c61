"""The loop of passes: what is gathered, in whose turn, decided and done; and who leads."""
