"""Change a model's weights: knows how, never why."""
