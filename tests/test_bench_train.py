"""The bench of training runs and says what it should; how fast anything is belongs to nobody's test."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHORT = ["--size", "tiny", "--length", "32", "--batch", "2", "--steps", "1", "--rounds", "1", "--warm-up", "1"]


def bench(*arguments, timeout=300):
    finished = subprocess.run(
        [sys.executable, str(ROOT / "tools/bench/bench_train.py"), *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def row(output, name):
    """Figures of a line: tokens/s, MFU, Gflop/s, wait, ms."""
    (line,) = re.findall(rf"^{name}.*?  (\S.*)$", output, re.MULTILINE)
    return line.split()


@pytest.mark.slow
def test_our_figures_and_a_profile():
    output = bench(*SHORT, "--device", "cpu", "--threads", "1", "--no-yardstick", "--profile")
    speed, share, flops, wait, duration = row(output, "maskgen")
    assert share == "unknown"
    assert wait.endswith("%")
    assert min(float(text.replace(",", "")) for text in (speed, flops, duration)) > 0
    assert "3 x the forward pass; peak: unknown" in output
    assert "matrix products" in output
    assert "most of the time: " in output
    assert "\nratio" not in output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (["--objective", "mlm", "--micro-batch", "1"], "BertForMaskedLM"),
        (["--objective", "mlm", "--architecture", "modern"], "ModernBertForMaskedLM"),
        (["--objective", "electra"], r"ElectraForMaskedLM \+ ForPreTraining"),
    ],
)
def test_the_yardstick(changes, name):
    output = bench(*SHORT, *changes, "--device", "cpu", "--threads", "1")
    assert len(row(output, "maskgen")) == len(row(output, name)) == 5
    assert re.search(r"^ratio \d", output, re.MULTILINE)


def test_groups_of_operations():
    path = ROOT / "tools/bench/training_profile.py"
    spec = importlib.util.spec_from_file_location("training_profile", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = {
        "aten::addmm": "matrix products",
        "aten::mm": "matrix products",
        "nvjet_hsh_128x256_64x4_2x1_v_bz_coopA_NTN": "matrix products",
        "void cutlass::Kernel2<cutlass_80_wmma_tensorop_bf16_s161616gemm_bf16>": "matrix products",
        "triton_tem_fused_mm_7": "matrix products",
        "triton_poi_fused_addmm_gelu_3": module.OTHERS,
        "triton_per_fused_native_layer_norm_copy_2": module.OTHERS,
        "aten::native_layer_norm": module.OTHERS,
        "aten::mul": module.OTHERS,
        "void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<...>": "attention",
        "fmha_cutlassF_bf16_aligned_64x64_rf_sm80": "attention",
        "void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor<float, 4>>": "optimizer and clipping",
        "aten::lerp_": "optimizer and clipping",
        "Memcpy HtoD (Pinned -> Device)": "copies",
        "void at::native::indexing_backward_kernel<...>": "embeddings",
    }
    assert {name: module.group_of(name) for name in known} == known


@pytest.mark.gpu
@pytest.mark.parametrize(("objective", "batch"), [("mlm", 64), ("electra", 32)])
def test_base_on_a_gpu(objective, batch):
    """BERT-base and ELECTRA-base, rows of 512, bf16, compiled; what is printed goes to docs/benchmarks.md."""
    output = bench(
        "--size", "base", "--length", 512, "--batch", batch, "--objective", objective, "--device", "cuda",
        "--precision", "bf16", "--compile", "--steps", 10, "--rounds", 3, "--warm-up", 5, "--profile", timeout=1500,
    )  # fmt: skip
    print(output)
    assert len(row(output, "maskgen")) == 5
    assert "the wall clock no kernel runs" in output
    assert "matrix products" in output
