"""What a user would take instead of gdl_jax: the same networks, written and trained the other libraries' own way."""
