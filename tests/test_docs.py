"""What README says about itself holds: its Python runs, its commands exist, its set-up blocks are there."""

import doctest
import importlib
import pkgutil
import re
import runpy
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest

from maskgen import cli
from maskgen.schemes import SCHEMES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_python_in_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--steps", "0"]) == 0
    names = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(block, "README.md", "exec"), names)
    dataset, tokenizer = names["dataset"], names["tokenizer"]
    assert dataset[1].tolist() == [2003, 102]
    assert dataset.document_indices.tolist() == [0, 2]
    assert tokenizer.engine == "native"
    assert tokenizer.decode(names["ids"][: names["lengths"][0]]) == "the lighthouse."
    assert names["batch"]["text"].shape == (32, 64)
    assert names["rows"] == [3, 3, 3, 3, 3]
    assert names["resumed"].consumed == 40


def test_python_in_masking_runs():
    """With the results that its comments name."""
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/masking.md").read_text(), re.DOTALL):
        exec(compile(block, "masking.md", "exec"), names)
    assert (names["result"].positions, names["result"].labels) == ([3, 4], [5, 6])
    assert names["batch"]["text"].shape == (2, 8)


def test_python_in_rows_runs_with_the_results_of_its_comments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, compared = {}, 0
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/rows.md").read_text(), re.DOTALL):
        exec(compile(block, "rows.md", "exec"), names)
        for expression, result in re.findall(r"^(batch\..*?)  # (.*)$", block, re.MULTILINE):
            assert eval(expression, names) == eval(result), expression
            compared += 1
    assert compared == 8


def test_python_in_batches_runs():
    """Its assertion holds, and the ramp is the one of its comment."""
    names = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "docs/batches.md").read_text(), re.DOTALL):
        exec(compile(block, "batches.md", "exec"), names)
    assert names["ramp"] == [(0, 4), (34, 8), (67, 12), (100, 16)]
    assert names["blended"]["text"].shape == (4, 32)


def test_examples_in_docstrings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = 0
    for module in pkgutil.walk_packages([str(ROOT / "maskgen")], "maskgen."):
        try:
            found = doctest.testmod(importlib.import_module(module.name))
        except ModuleNotFoundError as error:
            if error.name != "torch":  # an extra: its modules say so themselves
                raise
            continue
        assert found.failed == 0
        tried += found.attempted
    assert tried > 3


def test_python_and_the_example_in_samples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--steps", "0"]) == 0
    text = (ROOT / "docs/samples.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/samples.md", "exec"), names)
    assert list(names["inputs"]) == ["input_ids", "attention_mask", "token_type_ids", "labels"]
    batch, out = names["batch"], names["out"]
    assert batch["text"] is out["text"]
    assert batch["masked_labels"].base is out["masked_labels"]
    capsys.readouterr()
    (command, expected) = re.search(r"\$ maskgen (sample .*?)\n(.*?)```", text, re.DOTALL).groups()
    assert cli.main(command.split()) == 0
    assert capsys.readouterr().out.split() == expected.split()


def test_python_commands_and_examples_in_schemes_run(tmp_path, monkeypatch, capsys):
    """Each scheme has an example, and it is what the command prints."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--steps", "0"]) == 0
    text = (ROOT / "docs/schemes.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/schemes.md", "exec"), names)
    assert names["later"]["text"].shape == (3, 64)
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL):
        for command in block.replace("\\\n", " ").strip().splitlines():
            assert cli.main(shlex.split(command)[1:]) == 0
    capsys.readouterr()
    shown = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for call in block.replace("\\\n", " ").split("$ maskgen ")[1:]:
            command, _, expected = call.partition("\n")
            assert cli.main(shlex.split(command)) == 0
            assert capsys.readouterr().out.split() == expected.split(), command
            shown += re.findall(r"--scheme (\S+)", command)
    assert set(shown) == set(names["SCHEMES"])
    assert all(f"### {name}\n" in text for name in names["SCHEMES"])


@pytest.mark.parametrize("page", ["reproducing.md", "tokenizing-a-corpus.md"])
def test_commands_and_their_outputs_are_those_of_the_page(page, tmp_path, monkeypatch, capsys):
    """But for the versions of libraries."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo"]) == 0
    text = (ROOT / "docs" / page).read_text()
    tried = 0
    for kind, block in re.findall(r"```(bash|console)\n(.*?)```", text, re.DOTALL):
        block = block.replace("\\\n", " ").strip()
        calls = block.splitlines() if kind == "bash" else [block.partition("\n")[0].removeprefix("$ ")]
        capsys.readouterr()
        for call in calls:
            assert cli.main(shlex.split(call)[1:]) == 0, call
            tried += 1
        if kind == "console":
            shown, expected = capsys.readouterr().out, block.partition("\n")[2]
            one, other = ([line for line in each.splitlines() if line[:8] != "versions"] for each in (shown, expected))
            assert "\n".join(one).split() == "\n".join(other).split(), block
    assert tried > 3


def test_python_in_objectives_runs_and_its_tests_exist(tmp_path, monkeypatch):
    """Each defect of the sources is named beside the test that would fail with it."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", "--steps", "0"]) == 0
    text = (ROOT / "docs/objectives.md").read_text()
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "docs/objectives.md", "exec"), names)
    assert names["result"].disc_labels.shape == names["batch"]["text"].shape == (3, 64)
    assert bool(names["mlm"](names["mlm"].masked(names["tokens"])) > 0)
    check_models_of_transformers(**{name: names[name] for name in ("samples", "bert", "wrapped", "small", "large")})
    tests = "".join((ROOT / f"tests/{file}.py").read_text() for file in ("test_on_device", "test_objectives_mlm"))
    tests += (ROOT / "tests/test_objectives_electra.py").read_text()
    named = re.findall(r"`(test_\w+)`", text)
    assert len(named) == 17
    for name in named:
        assert f"def {name}(" in tests, name


def check_models_of_transformers(samples, bert, wrapped, small, large):
    """The loss is the model's own, every parameter has learned, and embeddings are one."""
    import torch

    from maskgen import to_hf

    arrays = samples.batch([0, 1, 2])
    given = {name: torch.as_tensor(array) for name, array in to_hf(arrays).items()}
    for model in (bert, small, large):
        assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert torch.allclose(wrapped.eval()(arrays), bert.eval()(**given).loss, rtol=1e-5)
    words = large.get_input_embeddings().weight
    assert words is small.get_input_embeddings().weight is small.get_output_embeddings().weight
    assert Path("my-bert/config.json").exists()
    assert Path("my-electra/config.json").exists()


def test_the_drawing_of_schemes_is_that_of_the_page():
    """After a change of the page: python tools/draw_schemes.py."""
    drawing = (ROOT / "docs/schemes.svg").read_text()
    assert (
        runpy.run_path(str(ROOT / "tools/draw_schemes.py"))["drawn"]((ROOT / "docs/schemes.md").read_text()) == drawing
    )
    texts = [
        "".join(each.itertext()) for each in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert set(SCHEMES) <= set(texts)


@pytest.mark.parametrize("kind", ["run", "test"])
def test_set_up_commands_are_one_line_with_constraints(kind):
    (block,) = re.findall(rf"<!-- setup:{kind} -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert block.count("\n") == 1
    assert "pip install -c constraints.txt" in block


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/README.md",
        "docs/batches.md",
        "docs/commands.md",
        "docs/determinism.md",
        "docs/ecosystem.md",
        "docs/encoder-decoders.md",
        "docs/indexed-dataset.md",
        "docs/mappings.md",
        "docs/exporting.md",
        "docs/fingerprints.md",
        "docs/masked-diffusion.md",
        "docs/masking.md",
        "docs/report.md",
        "docs/models.md",
        "docs/moving.md",
        "docs/objectives.md",
        "docs/predicting.md",
        "docs/reproducing.md",
        "docs/samples.md",
        "docs/rows.md",
        "docs/schemes.md",
        "docs/sentence-splitting.md",
        "docs/training.md",
        "docs/tokenizers.md",
        "docs/tutorial.md",
    ],
)
def test_commands_and_files_that_are_named_exist(path):
    text = (ROOT / path).read_text()
    for command in re.findall(r"(?<!from )\bmaskgen ([a-z][a-z-]+)", text):
        assert command in cli.COMMANDS, command
    for file in re.findall(r"`((?:docs|tools|preprocess|maskgen|csrc|tests)/[\w./-]*)`", text):
        assert (ROOT / file).exists(), file


def test_the_index_has_every_page_and_readme_is_short():
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    links = re.findall(r"^\| \[(.*?)\]\((.*?)\) \|", index, re.MULTILINE)
    assert all(text == target for text, target in links)
    assert sorted(target for _, target in links) == sorted(pages)
    assert "(docs/README.md)" in README
    assert README.count("\n") <= 200


def test_the_file_tree_of_readme_is_that_of_the_packages():
    (tree,) = re.findall(r"```\n(preprocess/.*?)```", README, re.DOTALL)
    parent, shown = "", set()
    for line in tree.splitlines():
        names = re.findall(r"\b(\w+)/(?=[,\s])", line.split("  ")[0] + " ")
        if line.startswith(("├", "└")):
            shown |= {f"{parent}/{name}" for name in names}
        else:
            (parent,) = names
            shown.add(parent)
    packages = {
        file.parent.relative_to(ROOT).as_posix()
        for top in ("preprocess", "maskgen")
        for file in ROOT.glob(f"{top}/**/__init__.py")
    }
    assert {name for name in packages if name.count("/") < 2} <= shown
    assert all((ROOT / name).is_dir() for name in shown)


def test_constraints_name_every_requirement():
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    project = (ROOT / "pyproject.toml").read_text().split("[project]")[1].split("[project.scripts]")[0]
    required = set(re.findall(r"^    \"([\w-]+)>=", project, re.MULTILINE))
    assert required
    assert required <= pinned
