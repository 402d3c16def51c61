"""Everything that speaks ECS: the calls and their budget, and what the answers mean."""
