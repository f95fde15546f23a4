"""Imported before others: libraries leave no garbage while they are, and a seventh of that time would go into looking for it.

Only in a process that others are forked from, each of which collects again.
"""

import gc

gc.disable()
