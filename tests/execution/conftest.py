"""Steps of the tests must be importable in spawned workers too, which take over this process' path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
