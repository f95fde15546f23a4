"""The endpoints' own shapes: where tools, calls and text stand in requests, answers and streams."""
