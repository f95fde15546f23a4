"""HTML pages and plots drawn from records alone."""
