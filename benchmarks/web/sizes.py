"""What a first visit loads, gzipped: as the page's own size gate counts it, from the build's manifest."""

import json
import subprocess

from benchmarks.measure import Figure
from benchmarks.run import ROOT
from benchmarks.web._browser import missing

KILOBYTE = 1_000


def main() -> list[Figure]:
    why = missing()
    if "built" in why:
        return [Figure("page, gzipped", None, "kB", "lower", note=why)]
    command = ["npm", "run", "--silent", "size", "--", "--json"]
    said = subprocess.run(command, cwd=ROOT / "web", stdout=subprocess.PIPE, check=False).stdout
    return [Figure(f"{row['name']}, gzipped", row["size"] / KILOBYTE, "kB", "lower") for row in json.loads(said)]


if __name__ == "__main__":
    for figure in main():
        print(figure)
