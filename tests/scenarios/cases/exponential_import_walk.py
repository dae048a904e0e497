"""a recursive walk over a dependency graph without memory of visited nodes: exponential time.

Link: vyperlang/vyper#5075 (same class: spcl/dace#2233, mloda-ai/mloda#837).  The checksum of a module is computed
from the checksums of its imports; a module imported by two others is walked once per path, so a chain of
diamonds doubles the work at every level.  Import resolution itself was memoised, only this walk was not.

Unit of work: request() (compile one contract).  Size n: depth of the import chain (3 n + 1 modules).
Expected findings: (1) repeated computation: integrity_sum(module) is called 4 * 2^n - 3 times for 3 n + 1 distinct
arguments (the leaf module alone 2^n times); (2) exponential growth in n: +2 levels = 4 times the time.
"""

import hashlib

SIZES = (8, 10, 12)


class Module:
    def __init__(self, path: str, source: str, imports: list[str]):
        self.path, self.source, self.imports = path, source, imports


class ImportAnalyzer:
    def __init__(self, modules: dict[str, Module]):
        self.modules = modules
        self.seen: set[str] = set()

    def resolve(self, path: str) -> None:
        if path not in self.seen:
            self.seen.add(path)
            for name in self.modules[path].imports:
                self.resolve(name)

    def integrity_sum(self, path: str) -> str:
        module = self.modules[path]
        parts = [hashlib.sha256(module.source.encode()).hexdigest()]
        parts += [self.integrity_sum(name) for name in module.imports]
        return hashlib.sha256("".join(parts).encode()).hexdigest()


def request(modules: dict[str, Module], entry: str) -> str:
    analyzer = ImportAnalyzer(modules)
    analyzer.resolve(entry)
    return analyzer.integrity_sum(entry)


def main(n: int) -> str:
    modules = {f"m{n}": Module(f"m{n}", "# leaf", [])}
    for i in range(n):
        modules[f"m{i}"] = Module(f"m{i}", f"import a{i}\nimport b{i}", [f"a{i}", f"b{i}"])
        for side in "ab":
            modules[f"{side}{i}"] = Module(f"{side}{i}", f"import m{i + 1}", [f"m{i + 1}"])
    return request(modules, "m0")[:12]


if __name__ == "__main__":
    for n in SIZES:
        print(n, main(n))
