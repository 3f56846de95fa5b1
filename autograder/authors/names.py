"""Which cells need which: the names that they bind, and the names that they use."""

import functools
import re
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from IPython.core.inputtransformer2 import TransformerManager

# Code that uses one of these may reach names in ways that cannot be read off it.
_DYNAMIC = re.compile("exec|eval|globals|locals|vars|get_ipython|In|Out|_i*|_i?\\d+")


@dataclass(frozen=True)
class Names:
    """The global names that a cell binds, and those that it needs from elsewhere."""

    bound: frozenset[str]
    used: frozenset[str]

    @classmethod
    def of(cls, source: str) -> "Names":
        try:
            table = symtable.symtable(_as_python(source), "cell", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return cls(frozenset(), frozenset())
        bound = {s.get_name() for s in table.get_symbols() if _binds(s)}
        used = set()
        for inner in _tables(table):
            top = inner is table
            for symbol in inner.get_symbols():
                if symbol.is_referenced() and (top or symbol.is_global()):
                    used.add(symbol.get_name())
        return cls(frozenset(bound), frozenset(used - bound))


def _binds(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _as_python(source: str) -> str:
    try:
        return TransformerManager().transform_cell(source)
    except Exception:
        return source


# A class hands in the same set-up, the same tests, and the same cells that were given.
_names_of = functools.lru_cache(maxsize=1024)(Names.of)


def needed_cells(
    sources: Sequence[str], optional: set[int], trusted: set[int]
) -> list[int]:
    """Return which cells have to run, in order: all but those nobody looks to.

    An optional cell is needed where a cell that runs uses a name that it binds. All are
    where one that is not trusted may reach names in ways that cannot be read off it.

    Args:
        sources: the code of the cells.
        optional: the indices of those that run only if they are needed.
        trusted: the indices of those that reach no name in secret.
    """
    names = [_names_of(source) for source in sources]
    needed = set(range(len(sources))) - optional
    reached = set().union(*(names[i].used for i in needed - trusted))
    if any(_DYNAMIC.fullmatch(name) for name in reached):
        return list(range(len(sources)))
    wanted = set().union(*(names[i].used for i in needed))
    while more := {i for i in optional - needed if names[i].bound & wanted}:
        needed |= more
        wanted |= set().union(*(names[i].used for i in more))
    return sorted(needed)
