"""Append to the log of argv[1] for ever, and say after each append what was written."""

import sys

from molehunt.logs.writing import LogWriter

writer = LogWriter(sys.argv[1], "w0", segment_records=200, apart=False, anchors=[sys.argv[2]])
number = 0
while True:
    ref = writer.append("request", {"number": number, "text": "x" * (number * 37 % 3000)})
    sys.stdout.write(f"{ref.seq} {ref.hash}\n")
    sys.stdout.flush()
    number += 1
