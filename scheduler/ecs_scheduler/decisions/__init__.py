"""The decision log: what each pass was decided on and how, kept so that it can be replayed."""
