"""The import-linter contract that keeps adapters apart without a list of them."""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.domain.imports import Module

SHARED = frozenset({"frames"})


def _is_shared(tail: tuple[str, ...]) -> bool:
    """Parts with a leading underscore, and the frame format of recordings, may be imported by every adapter."""
    return any(part.startswith("_") for part in tail) or tail[0] in SHARED


class Islands(Contract):
    """Leaves of a container never import one another; a leaf is ``<container>.<role>.<technology>``.

    The leaves come from the tree, so a new one needs no edit here. What leaves share (a part whose name starts with an
    underscore, or one of ``SHARED``) imports no leaf. A role's own package (``adapters.log``) imports no leaf either:
    else whoever imports one technology loads them all.
    """

    type_name = "islands"

    container = fields.ModuleField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        container = self.container
        assert isinstance(container, Module)
        prefix = f"{container.name}."
        faults: list[tuple[str, str, int | None]] = []
        for importer in sorted(graph.find_descendants(container.name)):
            home = self._leaf(prefix, importer)
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                other = self._leaf(prefix, imported)
                if other is None or other == home:
                    continue
                details = graph.get_import_details(importer=importer, imported=imported)
                line = details[0]["line_number"] if details else None
                faults.append((importer, imported, line))
        return ContractCheck(kept=not faults, metadata={"faults": faults})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, line in check.metadata["faults"]:
            output.print_error(f"- {importer} -> {imported} (l.{line})", bold=False)

    @staticmethod
    def _leaf(prefix: str, module: str) -> str | None:
        if not module.startswith(prefix):
            return None
        tail = tuple(module.removeprefix(prefix).split("."))
        if _is_shared(tail) or len(tail) < 2:
            return None
        return ".".join(tail[:2])
