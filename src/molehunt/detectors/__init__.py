"""Look for a backdoor without knowing it, one file a method."""
