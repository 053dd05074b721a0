"""An import-linter contract that names what may be imported; the ones it ships name what may not.

A list of forbidden libraries is silent about the next dependency, an allowlist is not.
"""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

OURS = {"workflows", "activities", "worker", "cli"}


class AllowlistContract(Contract):
    """Besides our own packages, the modules import the standard library and the allowed packages only."""

    modules: Any = fields.ListField(subfield=fields.StringField())
    allowed: Any = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every import of the modules and of what lies below them."""
        allowed = OURS | sys.stdlib_module_names | self.allowed
        strangers = [
            f"{importer} -> {imported}"
            for module in self.modules
            for importer in sorted({module} | graph.find_descendants(module))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported.partition(".")[0] not in allowed
        ]
        return ContractCheck(kept=not strangers, metadata={"strangers": strangers})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line per import that is not allowed."""
        for line in check.metadata["strangers"]:
            output.print_error(line)
        output.new_line()
