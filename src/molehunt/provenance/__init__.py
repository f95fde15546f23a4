"""What comes with a model, examined before anything of it is loaded."""
