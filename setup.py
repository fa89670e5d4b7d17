"""The two native extensions; everything else about the package stands in pyproject.toml.

``MASKGEN_BUILD`` chooses how they are compiled:
    release   optimised (the default)
    debug     no optimisation, debug symbols
    sanitize  AddressSanitizer and UndefinedBehaviorSanitizer; CONTRIBUTING.md says how to run the tests under it
"""

import os
import sys

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup

FLAGS = {
    "release": ["-O3", "-g0"],
    "debug": ["-O0", "-g3"],
    "sanitize": [
        "-O1",
        "-g3",
        "-fno-omit-frame-pointer",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
    ],
}

build = os.environ.get("MASKGEN_BUILD", "release")
if build not in FLAGS:
    sys.exit(f"MASKGEN_BUILD is {build!r}; it must be one of {', '.join(FLAGS)}")


def extension(name: str, sources: list[str]) -> Pybind11Extension:
    """One extension from files of csrc/, with the flags that every native file is compiled with."""
    return Pybind11Extension(
        name,
        sources=[f"csrc/{source}" for source in sources],
        include_dirs=["csrc"],
        depends=[f"csrc/{header}" for header in sorted(os.listdir("csrc")) if header.endswith(".hpp")],
        cxx_std=17,
        # No fused multiply-add: blending indices and masking must be the same bits on every processor.
        extra_compile_args=[
            "-Wall",
            "-Wextra",
            "-ffp-contract=off",
            f'-DMASKGEN_BUILD="{build}"',
            *FLAGS[build],
        ],
        extra_link_args=[flag for flag in FLAGS[build] if flag.startswith("-fsanitize=")],
    )


ParallelCompile(default=os.cpu_count() or 1).install()  # one file a core, where setuptools takes one after the other

setup(
    license="Apache-2.0",
    ext_modules=[
        extension(
            "preprocess._native",
            [
                "preprocess_module.cpp",
                "file_map.cpp",
                "jsonl_binding.cpp",
                "jsonl.cpp",
                "json_text.cpp",
                "json_spans.cpp",
                "newlines.cpp",
                "sha256_lanes.cpp",
                "wordpiece_binding.cpp",
                "text_batch.cpp",
                "wordpiece.cpp",
                "wordpiece_blocks.cpp",
                "wordpiece_misses.cpp",
                "wordpiece_model.cpp",
                "learned_text.cpp",
                "piece_trie.cpp",
                "utf8.cpp",
                "sentences.cpp",
                "sentences_binding.cpp",
            ],
        ),
        extension(
            "maskgen._native",
            [
                "maskgen_module.cpp",
                "rng.cpp",
                "mapping_binding.cpp",
                "mapping.cpp",
                "blending.cpp",
                "masking_binding.cpp",
                "masking.cpp",
                "lengths.cpp",
                "token_source.cpp",
                "batch.cpp",
                "samples.cpp",
                "samples_binding.cpp",
                "packing.cpp",
                "row_gather.cpp",
                "rows_binding.cpp",
            ],
        ),
    ],
    cmdclass={"build_ext": build_ext},
)
