"""What models were asked and what they answered: written so that nothing can be changed unseen, verified, read."""
