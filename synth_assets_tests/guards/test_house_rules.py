"""House rules that a linter does not see: sizes, texts of errors, no print, tests that are really collected."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synth_assets import errors
from synth_assets_tests.chain import ROOT

PACKAGE = ROOT / "synth_assets"
TESTS = ROOT / "synth_assets_tests"
FILE_LINES, FUNCTION_LINES = 400, 60
FEWEST_TESTS = 900
BASES = {"SynthAssetsError", "InputError"}


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def too_long_files(folder: Path) -> list[str]:
    lengths = {f: len(f.read_text().splitlines()) for f in sources(folder)}
    return [f"{f.relative_to(folder)}: {n} lines" for f, n in lengths.items() if n > FILE_LINES]


def own_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and without the functions inside it."""
    inner = [f for f in functions(function) if f is not function]
    covered = {i for f in inner for i in range(f.lineno, (f.end_lineno or f.lineno) + 1)}
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        covered |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(set(range(function.lineno, (function.end_lineno or function.lineno) + 1)) - covered)


def too_long_functions(folder: Path) -> list[str]:
    return [
        f"{file.relative_to(folder)}:{function.lineno} {function.name}: {own_lines(function)} lines"
        for file in sources(folder)
        for function in functions(ast.parse(file.read_text()))
        if own_lines(function) > FUNCTION_LINES
    ]


def places(folder: Path, wrong: Callable[[ast.AST], bool]) -> list[str]:
    return [
        f"{file.relative_to(folder)}:{getattr(node, 'lineno', 0)}"
        for file in sources(folder)
        for node in ast.walk(ast.parse(file.read_text()))
        if wrong(node)
    ]


def printed(folder: Path) -> list[str]:
    def wrong(node: ast.AST) -> bool:
        called = node.func if isinstance(node, ast.Call) else None
        return isinstance(called, ast.Name) and called.id in {"print", "breakpoint"}

    return places(folder, wrong)


def causes(folder: Path) -> list[str]:
    """`raise X from error`: the cause is stored with its text, which may quote a value."""

    def wrong(node: ast.AST) -> bool:
        cause = node.cause if isinstance(node, ast.Raise) else None
        return cause is not None and not (isinstance(cause, ast.Constant) and cause.value is None)

    return places(folder, wrong)


def without_docstring(folder: Path) -> list[str]:
    return [str(f.relative_to(folder)) for f in sources(folder) if ast.get_docstring(ast.parse(f.read_text())) is None]


def temporary_folders(folder: Path) -> list[str]:
    """Places that make temporary files in another way than storage/rooms.py: those would lie on a disk, and stay after a kill."""

    def wrong(node: ast.AST) -> bool:
        return isinstance(node, ast.Import) and any(name.name == "tempfile" for name in node.names)

    return [p for p in places(folder, wrong) if not p.startswith("storage/rooms.py")]


RULES = (too_long_files, too_long_functions, printed, causes, without_docstring, temporary_folders)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_the_package_keeps_the_rule(rule) -> None:
    assert rule(PACKAGE) == []


def test_every_rule_bites(tmp_path: Path) -> None:
    body = "\n".join(f"    x{i} = {i}" for i in range(FUNCTION_LINES + 1))
    filler = "\n".join("# more" for _ in range(FILE_LINES))
    fault = "try:\n    pass\nexcept ValueError as error:\n    raise KeyError('a') from error\n"
    (tmp_path / "bad.py").write_text(
        f"import tempfile\n\n\ndef long() -> None:\n{body}\n\n\nprint(1)\n{fault}{filler}\n"
    )
    assert [len(rule(tmp_path)) for rule in RULES] == [1, 1, 1, 1, 1, 1]


def error_classes() -> dict[str, type]:
    return {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.SynthAssetsError) and kind.__module__ == errors.__name__
    }


@pytest.mark.parametrize("name", sorted(set(error_classes()) - {"SynthAssetsError"}))
def test_every_error_class_is_raised_somewhere(name: str) -> None:
    pattern = re.compile(rf"\b{name}\(")
    raised = [
        f
        for f in sources(PACKAGE)
        if any(pattern.search(line) and "class " not in line for line in f.read_text().splitlines())
    ]
    assert raised, f"nothing raises {name}"


def test_every_error_class_has_a_code_of_its_own_and_a_known_exit_code() -> None:
    kinds = {n: k for n, k in error_classes().items() if n not in BASES}
    codes = [k.code for k in kinds.values()]
    assert len(set(codes)) == len(codes)
    assert {k.exit_code for k in kinds.values()} == {1, 2, 3, 4, 5}


def test_every_skip_has_a_reason() -> None:
    silent = []
    for file in sources(TESTS):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            text = ast.unparse(node.func)
            reason = node.args or [k for k in node.keywords if k.arg in {"reason", "msg"}]
            if text in {"pytest.skip", "pytest.mark.skip", "pytest.importorskip"} and not reason:
                silent.append(f"{file.name}:{node.lineno}")
            if text == "pytest.mark.skipif" and not [k for k in node.keywords if k.arg == "reason"]:
                silent.append(f"{file.name}:{node.lineno}")
    assert silent == []


@pytest.mark.slow
def test_no_test_is_forgotten() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "slow or not slow", "-p", "no:cacheprovider", str(TESTS)],
        check=False, capture_output=True, text=True, cwd=ROOT, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    collected = int(re.search(r"(\d+) tests? collected", done.stdout)[1])
    assert collected >= FEWEST_TESTS
    files = {line.split("::")[0] for line in done.stdout.splitlines() if "::" in line}
    written = {str(f.relative_to(ROOT)) for f in TESTS.rglob("test_*.py")}
    assert written - files == set()


def test_slow_marks_guard_neither_privacy_nor_data_loss() -> None:
    kept = ("canar", "privacy", "budget", "ledger", "blocking", "lease", "storage")
    marked = [
        f for f in sources(TESTS) if re.search(r"pytest\.mark\.slow", f.read_text()) and f.name != Path(__file__).name
    ]
    assert not [str(f) for f in marked if any(k in f.name for k in kept)]


def test_a_yaml_that_is_committed_can_be_loaded() -> None:
    from synth_assets.config.load import load_dataset

    for file in (ROOT / "configs" / "datasets").glob("*.yaml"):
        assert load_dataset(file).name == file.stem
