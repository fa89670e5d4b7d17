"""Predictions against the arithmetic of transformers' fill-mask, and every way to ask for what cannot be."""

import io
import json
import sys
from pathlib import Path

import pytest
import torch
import transformers
from doc_pages import run_page
from model_cases import discriminator, masked_lm
from tokenizer_files import small_vocabulary, write_tokenizer, write_vocabulary
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from maskgen import cli
from maskgen.train import Predictor, TrainError
from maskgen.train.models import save_pretrained

PIECES = small_vocabulary()
ROWS = -(-len(PIECES) // 64) * 64 + 64  # more than there are tokens
KINDS = {
    "bert": {},
    "pairs": {"pairs": True},
    "generator": {"embedding_size": 16},
    "modern": {"architecture": "modern"},
}
TEXTS = ["the [MASK] of hello", "[MASK] world [MASK] [MASK] un", "the token [MASK]"]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(**others):
    return masked_lm(**{"vocab_size": ROWS, "pad_id": 0, **others})


def saved(folder, made=None):
    """A model's folder with its tokenizer."""
    (folder / "tokenizer").mkdir(parents=True)
    path = write_tokenizer(folder / "tokenizer")
    save_pretrained(network() if made is None else made, folder / "model", tokenizer=path)
    return str(folder / "model")


def theirs(folder, text, ids=None):
    """Ids of a text, and the probabilities at its masks, as fill-mask computes them."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    ids = tokenizer(text)["input_ids"] if ids is None else ids
    places = [place for place, id_ in enumerate(ids) if id_ == tokenizer.mask_token_id]
    with torch.no_grad():
        return ids, places, model(input_ids=torch.tensor([ids])).logits[0, places].softmax(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_transformers(tmp_path, kind):
    folder = saved(tmp_path, network(**KINDS[kind]))
    for text, masks in zip(TEXTS, Predictor.load(folder).top(TEXTS, 7), strict=True):
        _, places, probabilities = theirs(folder, text)
        assert len(masks) == len(places) == text.count("[MASK]")
        for candidates, expected in zip(masks, probabilities, strict=True):
            order = [id_ for id_ in expected.argsort(descending=True).tolist() if 5 <= id_ < len(PIECES)]
            assert [each.id for each in candidates] == order[:7]
            assert [each.token for each in candidates] == [PIECES[id_] for id_ in order[:7]]
            found = torch.tensor([each.probability for each in candidates])
            torch.testing.assert_close(found, expected[order[:7]], rtol=1e-4, atol=1e-7)


def test_a_folder_of_transformers(tmp_path):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = transformers.BertConfig(vocab_size=len(PIECES), max_position_embeddings=40, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    transformers.BertTokenizerFast.from_pretrained(str(Path(write_vocabulary(tmp_path)).parent)).save_pretrained(
        tmp_path
    )
    [[candidates]] = Predictor.load(tmp_path).top(["The TOKEN [MASK]."], 3)
    _, _, [expected] = theirs(tmp_path, "The TOKEN [MASK].")
    assert [each.probability for each in candidates] == pytest.approx(
        [float(expected[each.id]) for each in candidates], rel=1e-4
    )
    assert [each.probability for each in candidates] == sorted((e.probability for e in candidates), reverse=True)


def test_the_surest_mask_is_filled_first_and_seen_by_the_rest(tmp_path):
    """Against the same, step by step, with transformers."""
    folder = saved(tmp_path)
    text = TEXTS[1]
    [filled] = Predictor.load(folder).fill([text], 2)
    ids, places, _ = theirs(folder, text)
    open_masks = dict(enumerate(places))
    for step in filled.steps:
        _, left, probabilities = theirs(folder, text, ids)
        offered = probabilities[:, 5 : len(PIECES)]
        surest = int(offered.max(dim=1).values.argmax())
        assert open_masks.pop(step.mask) == left[surest]
        id_ = 5 + int(offered[surest].argmax())
        assert step.candidates[0].id == id_
        assert step.candidates[0].probability == pytest.approx(float(probabilities[surest, id_]), rel=1e-4)
        assert len(step.candidates) == 2
        ids[left[surest]] = id_
    assert not open_masks
    assert sorted(step.mask for step in filled.steps) == [0, 1, 2]
    assert filled.text == transformers.AutoTokenizer.from_pretrained(folder).decode(ids[1:-1])


def test_filling_again_and_beside_others_is_the_same(tmp_path):
    predictor = Predictor.load(saved(tmp_path))
    assert predictor.fill(TEXTS) == [predictor.fill([text])[0] for text in TEXTS] == predictor.fill(TEXTS)
    assert predictor.top(TEXTS) == [predictor.top([text])[0] for text in TEXTS]


def test_special_tokens_and_rows_without_a_token_are_not_offered(tmp_path):
    """Their probability still counts: what is offered adds up to what is left of 1."""
    made = network()
    with torch.no_grad():
        made.head.bias[:5] += 20.0
        made.head.bias[len(PIECES) :] += 20.0
    folder = saved(tmp_path, made)
    [[candidates]] = Predictor.load(folder).top(["the [MASK]"], 10**6)
    _, _, [expected] = theirs(folder, "the [MASK]")
    assert sorted(each.id for each in candidates) == list(range(5, len(PIECES)))
    left = sum(each.probability for each in candidates)
    assert left == pytest.approx(float(expected[5 : len(PIECES)].sum()), rel=1e-3)
    assert left < 0.01


def write_named_mask(folder):
    """A tokenizer of words whose mask has another name, and takes the space before it."""
    words = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", "the", "sea", "is", "calm"]
    tokenizer = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([*words[:4], AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder / "tokenizer.json")


def test_the_mask_may_have_another_name(tmp_path):
    path = write_named_mask(tmp_path)
    save_pretrained(network(vocab_size=64), tmp_path / "model", tokenizer=path)
    predictor = Predictor.load(tmp_path / "model")
    assert predictor.mask_token == "<mask>"
    assert predictor.top(["the <mask> is <mask>"]) == predictor.top(["the [MASK] is [MASK]"])
    [filled] = predictor.fill(["the [MASK] is [MASK]"])
    assert set(filled.text.split()) <= {"the", "sea", "is", "calm"}
    assert len(filled.text.split()) == 4
    with pytest.raises(TrainError, match="has no mask; expected <mask> where"):
        predictor.top(["the sea"])
    kept = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json")).get_added_tokens_decoder()[4]
    assert kept.lstrip


def test_the_folder_of_a_run_and_a_tokenizer_from_elsewhere(tmp_path):
    folder = saved(tmp_path / "run")
    expected = Predictor.load(folder).top(TEXTS)
    assert Predictor.load(tmp_path / "run").top(TEXTS) == expected
    for name in ("tokenizer.json", "tokenizer_config.json"):
        Path(folder, name).unlink()
    assert Predictor.load(tmp_path / "run", tokenizer=tmp_path / "run" / "tokenizer").top(TEXTS) == expected


def fails(capsys, *arguments):
    """The one line of an error."""
    assert cli.main(["predict", *map(str, arguments)]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    return error


def test_what_is_no_model(tmp_path, capsys):
    assert f"{tmp_path / 'no'}: found no such folder" in fails(capsys, tmp_path / "no", "[MASK]")
    assert "no model/ and no config.json" in fails(capsys, tmp_path, "[MASK]")
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    assert "found a run without a model yet" in fails(capsys, tmp_path / "run", "[MASK]")
    saved(tmp_path / "electra", discriminator(vocab_size=ROWS, pad_id=0))
    assert "found a discriminator" in fails(capsys, tmp_path / "electra", "[MASK]")
    assert "pass its generator" in fails(capsys, tmp_path / "electra" / "model", "[MASK]")
    (tmp_path / "electra" / "generator").mkdir()
    for folder in (tmp_path / "electra", tmp_path / "electra" / "model"):
        assert f"pass {tmp_path / 'electra' / 'generator'}" in fails(capsys, folder, "[MASK]")
    save_pretrained(network(), tmp_path / "bare")
    assert "tokenizer.json" in fails(capsys, tmp_path / "bare", "[MASK]")
    save_pretrained(network(vocab_size=64), tmp_path / "few")
    tokenizer = tmp_path / "electra" / "tokenizer"
    assert "fewer than the 64 of the model" in fails(capsys, tmp_path / "few", "[MASK]", "--tokenizer", tokenizer)


def test_texts_that_cannot_be_used(tmp_path, capsys):
    folder = saved(tmp_path)
    assert "the text 'the sea' has no mask; expected [MASK]" in fails(capsys, folder, "the [MASK]", "the sea")
    long = "the " * 38 + "[MASK]"  # and [CLS], [SEP]
    assert "has 41 tokens; expected at most 40" in fails(capsys, folder, long)
    assert len(Predictor.load(folder).top([long[4:]])[0]) == 1
    assert "no valid UTF-8" in fails(capsys, folder, "\udcff [MASK]")
    assert "k is 0" in fails(capsys, folder, "[MASK]", "--top-k", "0")
    with pytest.raises(TrainError, match="texts is one string"):
        Predictor.load(folder).top("[MASK]")


def test_logits_that_are_no_numbers(tmp_path, capsys):
    made = network()
    with torch.no_grad():
        made.head.bias[7] = float("nan")
    assert "logits that are no numbers" in fails(capsys, saved(tmp_path, made), "[MASK]")


def test_a_tokenizer_without_a_mask(tmp_path, capsys):
    save_pretrained(network(), tmp_path / "model")
    path = write_vocabulary(tmp_path, [piece for piece in PIECES if piece != "[MASK]"])
    assert "no token for mask" in fails(capsys, tmp_path / "model", "[MASK]", "--tokenizer", path)


def test_the_command_as_text_and_as_json(tmp_path, capsys):
    folder = saved(tmp_path)
    predictor = Predictor.load(folder)
    [masks], [filled] = predictor.top(TEXTS[1:2], 2), predictor.fill(TEXTS[1:2])
    assert cli.main(["predict", folder, TEXTS[1], "--top-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == TEXTS[1]
    assert len(lines) == 1 + 3 * 2
    for number, offers in enumerate(masks):
        shown = [line.split() for line in lines[1 + 2 * number : 3 + 2 * number]]
        assert shown[0][:2] == ["mask", str(number + 1)]
        assert [line[-2:] for line in shown] == [[f"{each.probability:.4f}", each.token] for each in offers]
    assert cli.main(["predict", folder, TEXTS[1], "--iterative"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == [str(step.mask + 1) for step in filled.steps]
    assert lines[4] == f"  {filled.text}"
    assert cli.main(["predict", folder, TEXTS[1], "--iterative", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["text"] == TEXTS[1]
    assert found["filled"] == filled.text
    assert found["steps"] == [
        {"mask": step.mask, "candidates": [each._asdict() for each in step.candidates]} for step in filled.steps
    ]


def test_lines_of_standard_input(tmp_path, capsys, monkeypatch):
    folder = saved(tmp_path)

    def feed(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        code = cli.main(["predict", folder, "--json", "--top-k", "1"])
        return code, *capsys.readouterr()

    code, out, _ = feed(b"the [MASK]\r\n\n[MASK] world")
    assert code == 0
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["the [MASK]", "[MASK] world"]
    code, out, error = feed(b"the [MASK]\n\xff [MASK]\n")
    assert (code, out.count("\n"), error.count("\n")) == (2, 1, 1)
    assert feed(b"") == (0, "", "")


def test_the_page_runs(demo, capsys):
    names, printed = run_page("docs/predicting.md", capsys)
    assert names["filled"].text == list(printed.values())[-1].splitlines()[-1].strip()
    assert [len(each) for each in names["masks"]] == [3, 3]
