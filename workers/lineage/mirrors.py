"""Accounts that upload others' models again, and whose models those are.

A child of "unsloth/llama-3-8b-bnb-4bit" descends from meta-llama/Meta-Llama-3-8B in truth. That is a likelihood read
from the name, not a proof: it makes a finding, never an edge.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Nearly all that these accounts hold are re-uploads.
MIRRORS = frozenset(
    {
        "alpindale",
        "daryl149",
        "decapoda-research",
        "gensyn",
        "huggyllama",
        "lmstudio-community",
        "mistral-community",
        "mlx-community",
        "nousresearch",
        "onnx-community",
        "unsloth",
        "yahma",
    }
)
# These hold models of their own as well: only a name that is known to be another's counts.
_ALSO_MAKERS = frozenset({"alpindale", "daryl149", "gensyn", "mistral-community", "nousresearch"})

_SUFFIX_RE = re.compile(
    r"(?:[-_](?:unsloth|bnb|[48]bit|[2-8]bit|gguf|ggml|mlx|fp16|bf16|fp8|int[48]|awq|gptq|onnx(?:-web)?|dwq|hf-4bit))+$",
    re.I,
)

# (the name without format suffixes, its maker, how the maker writes it); "" keeps the name as it is.
_MAKERS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.I), maker, name)
    for pattern, maker, name in (
        (r"meta-llama-3.*", "meta-llama", ""),
        (r"llama-3-(8b|70b)", "meta-llama", r"Meta-Llama-3-\1"),
        (r"llama-3-(8b|70b)-instruct", "meta-llama", r"Meta-Llama-3-\1-Instruct"),
        (r"llama-(?:3\.[123]|4|guard|prompt-guard)-.*", "meta-llama", ""),
        (r"llama-2-(7b|13b|70b)(?:-hf)?", "meta-llama", r"Llama-2-\1-hf"),
        (r"llama-2-(7b|13b|70b)-chat(?:-hf)?", "meta-llama", r"Llama-2-\1-chat-hf"),
        (r"codellama-(7b|13b|34b|70b)(?:-hf)?", "codellama", r"CodeLlama-\1-hf"),
        (r"codellama-.*", "codellama", ""),
        (r"mistral-7b", "mistralai", "Mistral-7B-v0.1"),
        (r"(?:mistral|mixtral|ministral|devstral|magistral|pixtral|codestral|mathstral)-.*", "mistralai", ""),
        (r"(?:gemma|codegemma|medgemma|recurrentgemma|paligemma2?|t5gemma|functiongemma)-.*", "google", ""),
        (r"(?:qwen|qwq|qvq|codeqwen).*", "Qwen", ""),
        (r"phi-.*", "microsoft", ""),
        (r"deepseek-.*", "deepseek-ai", ""),
        (r"tinyllama", "TinyLlama", "TinyLlama-1.1B-intermediate-step-1431k-3T"),
        (r"tinyllama-chat", "TinyLlama", "TinyLlama-1.1B-Chat-v1.0"),
        (r"tinyllama-1\.1b.*", "TinyLlama", ""),
        (r"smol(?:lm\d?|vlm\d?)-.*", "HuggingFaceTB", ""),
        (r"zephyr-sft", "HuggingFaceH4", "mistral-7b-sft-beta"),
        (r"zephyr-.*", "HuggingFaceH4", ""),
        (r"yi-.*", "01-ai", ""),
        (r"granite-.*", "ibm-granite", ""),
        (r"gpt-oss-.*", "openai", ""),
        (r"whisper-.*", "openai", ""),
        (r"orpheus-.*", "canopylabs", ""),
        (r"olmo-.*", "allenai", ""),
        (r"falcon-?\d?-.*", "tiiuae", ""),
        (r"glm-.*", "zai-org", ""),
        (r"kimi-.*", "moonshotai", ""),
        (r"starcoder2-.*", "bigcode", ""),
        (r"(?:hermes|nous-hermes)-.*", "NousResearch", ""),
    )
)


@lru_cache(maxsize=8192)
def likely_original(name: str) -> tuple[str, ...] | None:
    """The models of which ``name`` ("account/model") is likely a re-upload, likeliest first.

    None where its account is no mirror; () where it is one but the original can't be told from the name.
    """
    account, _, model = name.partition("/")
    if account.lower() not in MIRRORS or not model:
        return None
    plain = _SUFFIX_RE.sub("", model)
    for pattern, maker, template in _MAKERS:
        match = pattern.fullmatch(plain)
        if match and maker.lower() != account.lower():
            written = _as_written(match.expand(template)) if template else plain
            return (f"{maker}/{written}",)
    return None if account.lower() in _ALSO_MAKERS else ()


def _as_written(name: str) -> str:
    # "Meta-Llama-3-8b" → "Meta-Llama-3-8B"; Llama 2 and Code Llama write theirs small
    if name.startswith("Meta-Llama-3"):
        return re.sub(r"(\d)b\b", r"\1B", name)
    return name
