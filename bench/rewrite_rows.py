"""The peer of the dataset bench: reads the rows of a file and writes them again with Python's json, one at a time.

python3 rewrite_rows.py INPUT OUTPUT prints what it took as a line of JSON.
"""

import json
import resource
import sys
import time

started = time.perf_counter()
with open(sys.argv[1], encoding="utf-8") as rows, open(sys.argv[2], "w", encoding="utf-8") as output:
    for line in rows:
        output.write(json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":")) + "\n")
seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_SELF)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"seconds": seconds, "cpuSeconds": cpu, "memoryMiB": used.ru_maxrss // 1024}))
