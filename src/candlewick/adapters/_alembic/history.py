"""A schema history read without importing it: revision ids by syntax alone.

Importing Alembic costs 0.6 s of CPU; a start that finds its schema at the head must not pay that.
"""

import ast
from pathlib import Path

import msgspec

from candlewick.ports.database import MigrationFailed, UnknownRevision

BASE = "base"
HEAD = "head"


class Revisions(msgspec.Struct, frozen=True):
    """The revision graph of one history: id -> ids it comes after."""

    folder: Path
    parents: dict[str, tuple[str, ...]]

    def head(self) -> str:
        """The one newest revision; 'base' of an empty history. Raises MigrationFailed when there are several."""
        inner = {parent for parents in self.parents.values() for parent in parents}
        heads = sorted(set(self.parents) - inner)
        if len(heads) > 1:
            raise MigrationFailed(f"the schema history {str(self.folder)!r} must have one head, was {heads!r}")
        return heads[0] if heads else BASE

    def resolve(self, target: str) -> str:
        """'head' and revision ids become revision ids, 'base' stays. Raises UnknownRevision."""
        if target == HEAD:
            return self.head()
        if target != BASE and target not in self.parents:
            raise UnknownRevision(f"no such revision in {str(self.folder)!r}, was {target!r}")
        return target

    def is_before(self, revision: str, later: str) -> bool:
        """True if ``later`` is built on ``revision``."""
        if revision == BASE:
            return later != BASE
        stack, seen = list(self.parents.get(later, ())), set[str]()
        while stack:
            one = stack.pop()
            if one == revision:
                return True
            if one not in seen:
                seen.add(one)
                stack.extend(self.parents.get(one, ()))
        return False


def read(folder: Path) -> Revisions:
    """The graph of ``folder``/versions/*.py. Raises MigrationFailed for a folder or a file that is none."""
    versions = folder / "versions"
    if not versions.is_dir():
        raise MigrationFailed(f"a schema history is a folder with a folder 'versions' in it, was {str(folder)!r}")
    parents: dict[str, tuple[str, ...]] = {}
    for file in sorted(versions.glob("*.py")):
        if file.name == "__init__.py":
            continue
        try:
            names = _constants(file)
            revision, down = names["revision"], names["down_revision"]
        except (SyntaxError, ValueError, KeyError) as error:
            raise MigrationFailed(
                f"a revision must say 'revision =' and 'down_revision =', was {str(file)!r}"
            ) from error
        if not isinstance(revision, str) or revision in parents:
            raise MigrationFailed(f"revision ids must be unique strings, was {revision!r} in {str(file)!r}")
        parents[revision] = () if down is None else (down,) if isinstance(down, str) else tuple(map(str, down))
    return Revisions(folder, parents)


def _constants(file: Path) -> dict[str, str | tuple[str, ...] | None]:
    found = {}
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        else:
            continue
        if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"} and node.value is not None:
            found[target.id] = ast.literal_eval(node.value)
    return found
