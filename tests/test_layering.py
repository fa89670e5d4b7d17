"""The rules of the layout, read off the source files."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = sorted([*ROOT.glob("preprocess/**/*.py"), *ROOT.glob("maskgen/**/*.py")])
SOURCES = [*PACKAGES, *ROOT.glob("tools/**/*.py"), *ROOT.glob("csrc/*.[ch]pp")]
LAZY = {"datasets", "ray", "gigatoken", "matplotlib", "transformers", "fsspec", "nltk", "pyarrow", "zstandard"}
MAY_USE_TORCH = ("maskgen/on_device.py", "maskgen/datasets.py", "maskgen/train/")


def name(path):
    return path.relative_to(ROOT).as_posix()


def imports(path, *, at_import_time):
    """Top-level names that a module imports: all of them, or only those that run when it is imported."""
    found = set()
    todo = list(ast.parse(path.read_text()).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)} has a relative import"
            found.add(node.module)
        if not (at_import_time and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))):
            todo.extend(ast.iter_child_nodes(node))
    return found


def roots(modules):
    return {module.split(".")[0] for module in modules}


def test_there_is_something_to_look_at():
    assert len(PACKAGES) > 15
    assert "numpy" in roots(imports(ROOT / "preprocess/indexed/check.py", at_import_time=True))


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_imports(path):
    everything, eager = imports(path, at_import_time=False), imports(path, at_import_time=True)
    if name(path).startswith("preprocess/"):
        assert not {"torch", "maskgen"} & roots(everything)
    if not name(path).startswith(MAY_USE_TORCH):
        assert "torch" not in roots(everything)
    assert not LAZY & roots(eager), "import it where it is used"
    if not name(path).startswith("maskgen/train/"):
        assert not any(module.startswith("maskgen.train") for module in eager)


@pytest.mark.parametrize("path", [path for path in PACKAGES if "commands" in path.parts], ids=name)
def test_commands_import_nothing_heavy(path):
    assert roots(imports(path, at_import_time=True)) <= {"argparse", "json", "os", "sys"}


def test_only_one_module_knows_the_bytes():
    knowing = [name(path) for path in PACKAGES if "MMIDIDX" in path.read_text() and 'b"MMIDIDX' in path.read_text()]
    assert knowing == ["preprocess/indexed/format.py"]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_file_grows_beyond_reason(path):
    assert len(path.read_text().splitlines()) <= 320


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_no_global_generator_and_no_assert_guards(path):
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    calls = re.findall(r"np\.random\.(\w+)\(", path.read_text()) + re.findall(
        r"\brandom\.(seed|random)\(", path.read_text()
    )
    assert set(calls) <= {"RandomState", "MT19937", "Generator", "Philox"}
