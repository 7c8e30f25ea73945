"""``python -m tools.deploy VERB``: what deploy/ is made and judged with.

write     make what is generated anew; ./dev gen does it too
validate  read everything with the tools of those who take it, fetching them first: linters, schemas, helm, promtool
render    the chart's objects on standard output, by the name of a set of values
"""

import argparse
import sys

import yaml

from tools.deploy import chart, pages, programs, validate


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.deploy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("write", "validate", "render"))
    parser.add_argument("values", nargs="?", default="least", choices=tuple(chart.VALUES), help="for render")
    args = parser.parse_args()
    if args.verb == "write":
        return pages.main()
    if args.verb == "render":
        helm = programs.go_command("helm")[0]
        yaml.safe_dump_all(chart.rendered(helm, chart.VALUES[args.values]), sys.stdout, sort_keys=False)
        return 0
    found = validate.run()
    print(f"{found} looks found something" if found else "nothing found")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
