"""What comes with a model: scanned, signed, compared and attested before anything of it is loaded."""
