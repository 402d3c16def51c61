"""From a placed job to a settled one: calls, the ledger, unknown outcomes, and how tasks end."""
