"""`python -m infra.helm` writes the chart's schema of values; with `build` it builds Helm and prints where it is."""

import sys

from infra.helm.schema import FILE, values_schema
from infra.testbed import cache
from infra.testbed.programs import Builder, say

if __name__ == "__main__":
    if sys.argv[1:] == ["build"]:
        builder = Builder(cache.root(), say)
        builder.build(["helm"])
        print(builder.path("helm"))  # noqa: T201 - a command line prints.
    else:
        FILE.write_text(values_schema())
