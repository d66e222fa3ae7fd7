"""Word lists of the generator: architectures, sizes, suffixes, and names of namespaces that nobody has."""

from __future__ import annotations

from typing import NamedTuple


class Architecture(NamedTuple):
    """One family of architectures: how its roots are named, tagged and sized."""

    base: str  # the name that roots begin with
    model_type: str
    task: str
    library: str | None
    sizes: tuple[tuple[str, int], ...]  # (name part, parameters)
    weight: float
    licence: str


_LM = (
    ("0.5B", 494_032_768),
    ("1.5B", 1_543_714_304),
    ("3B", 3_085_938_688),
    ("7B", 7_615_616_512),
    ("8B", 8_030_261_248),
    ("14B", 14_765_947_904),
    ("32B", 32_763_876_352),
    ("70B", 70_553_706_496),
)
_ENC = (("small", 28_000_000), ("base", 109_482_240), ("large", 335_141_888))
ARCHITECTURES = (
    Architecture("Llama-3.1", "llama", "text-generation", "transformers", _LM, 17, "llama3.1"),
    Architecture("Llama-3", "llama", "text-generation", "transformers", _LM, 9, "llama3"),
    Architecture("Llama-2", "llama", "text-generation", "transformers", _LM, 7, "llama2"),
    Architecture("Qwen2.5", "qwen2", "text-generation", "transformers", _LM, 20, "apache-2.0"),
    Architecture("Qwen3", "qwen3", "text-generation", "transformers", _LM, 6, "apache-2.0"),
    Architecture("Mistral", "mistral", "text-generation", "transformers", _LM, 9, "apache-2.0"),
    Architecture("Gemma-2", "gemma2", "text-generation", "transformers", _LM, 6, "gemma"),
    Architecture("Phi-3", "phi3", "text-generation", "transformers", _LM, 3, "mit"),
    Architecture("falcon", "falcon", "text-generation", "transformers", _LM, 1, "apache-2.0"),
    Architecture("bloom", "bloom", "text-generation", "transformers", _LM, 1, "bigscience-bloom-rail-1.0"),
    Architecture("gpt-mini", "gpt2", "text-generation", "transformers", _ENC, 3, "mit"),
    Architecture("bert", "bert", "fill-mask", "transformers", _ENC, 5, "apache-2.0"),
    Architecture("distilbert", "distilbert", "text-classification", "transformers", _ENC, 5, "apache-2.0"),
    Architecture("roberta", "roberta", "text-classification", "transformers", _ENC, 3, "mit"),
    Architecture("xlm-roberta", "xlm-roberta", "token-classification", "transformers", _ENC, 2, "mit"),
    Architecture("t5", "t5", "translation", "transformers", _ENC, 2, "apache-2.0"),
    Architecture("whisper", "whisper", "automatic-speech-recognition", "transformers", _ENC, 3, "apache-2.0"),
    Architecture("wav2vec2", "wav2vec2", "automatic-speech-recognition", "transformers", _ENC, 2, "apache-2.0"),
    Architecture("vit", "vit", "image-classification", "transformers", _ENC, 3, "apache-2.0"),
    Architecture("swin", "swin", "image-classification", "timm", _ENC, 1, "mit"),
    Architecture("detr", "detr", "object-detection", "transformers", _ENC, 1, "apache-2.0"),
    Architecture("sd-xl", "stable-diffusion", "text-to-image", "diffusers", (("1.0", 2_567_463_684),), 9, "openrail++"),
    Architecture("flux", "flux", "text-to-image", "diffusers", (("dev", 11_901_408_320),), 8, "other"),
    Architecture("mpnet", "mpnet", "sentence-similarity", "sentence-transformers", _ENC, 3, "apache-2.0"),
    Architecture("ppo-LunarLander", "ppo", "reinforcement-learning", "stable-baselines3", (("v2", 0),), 5, "mit"),
)  # fmt: skip

#: A namespace is an adjective, a noun and, beyond their number, a figure: `mossy-heron`, `mossy-heron7`.
ADJECTIVES = (
    "amber", "ashen", "azure", "bold", "brisk", "calm", "cedar", "clever", "coral", "crisp", "dapper", "deft", "dusky",
    "eager", "early", "fabled", "fern", "fleet", "frosty", "gentle", "gilded", "glassy", "grand", "hazel", "hidden",
    "hollow", "humble", "indigo", "ivory", "jolly", "keen", "lively", "lunar", "mellow", "misty", "mossy", "nimble",
    "noble", "olive", "pearl", "plain", "polar", "proud", "quiet", "rapid", "rustic", "silver", "smoky", "solar",
    "spry", "stout", "sunny", "swift", "tawny", "tidal", "vivid", "wild", "windy", "winter", "witty",
)  # fmt: skip
NOUNS = (
    "alder", "badger", "basalt", "beacon", "birch", "bramble", "brook", "canyon", "cinder", "clover", "comet", "condor",
    "cove", "crane", "delta", "dune", "egret", "ember", "falcon", "fjord", "forge", "fox", "gale", "glacier", "grove",
    "harbor", "hawk", "heron", "ibis", "inlet", "juniper", "kestrel", "lab", "lagoon", "lantern", "larch", "lynx",
    "maple", "marsh", "meadow", "mesa", "moth", "nectar", "oak", "orchard", "otter", "owl", "pebble", "pine", "plover",
    "quarry", "raven", "reef", "ridge", "river", "rook", "sable", "sparrow", "spruce", "summit", "tern", "thicket",
    "tundra", "willow", "works", "wren",
)  # fmt: skip

FINETUNE_SUFFIXES = (
    "Instruct", "sft", "dpo", "chat", "code", "math", "roleplay", "medical", "legal", "orca", "ultrachat", "alpaca",
    "gsm8k", "summarize", "emotion", "imdb", "squad", "ner", "conll2003", "sst2", "cifar10", "beans", "food101",
    "common_voice", "finetuned", "abliterated", "uncensored", "reasoning", "grpo", "distill", "ko", "ja", "de", "fr",
    "es", "vi", "ar", "hi", "tr", "pt",
)  # fmt: skip
ADAPTER_SUFFIXES = (
    "lora",
    "qlora",
    "adapter",
    "peft",
    "lora-r16",
    "lora-r64",
    "dora",
    "style-lora",
    "outputs",
    "sft-lora",
)
QUANTIZED_SUFFIXES = (
    "GGUF", "i1-GGUF", "Q4_K_M-GGUF", "Q8_0-GGUF", "AWQ", "GPTQ", "GPTQ-Int4", "4bit", "8bit", "bnb-4bit", "FP8",
    "4bits-exl2", "mlx-4Bit", "ONNX",
)  # fmt: skip
MERGE_SUFFIXES = (
    "slerp",
    "ties",
    "dare",
    "merge",
    "model_stock",
    "della",
    "Hermes-mix",
    "fusion",
    "soup",
    "lorablated",
)
ROOT_SUFFIXES = ("", "v0.1", "v1", "v2", "preview", "base", "pretrain", "scratch", "tiny-random", "test", "2024")

#: What a child's name ends in, by relation.
SUFFIXES = {
    "adapter": ADAPTER_SUFFIXES,
    "finetune": FINETUNE_SUFFIXES,
    "merge": MERGE_SUFFIXES,
    "quantized": QUANTIZED_SUFFIXES,
}

LICENCES = (
    ("apache-2.0", 44), ("mit", 17), ("other", 8), ("openrail", 4), ("creativeml-openrail-m", 5), ("llama3", 3),
    ("llama3.1", 4), ("llama3.2", 2), ("llama2", 2), ("gemma", 3), ("cc-by-nc-4.0", 4), ("cc-by-4.0", 2),
    ("cc-by-sa-4.0", 1), ("gpl-3.0", 1), ("agpl-3.0", 0.5), ("bsd-3-clause", 0.5), ("unknown", 1),
)  # fmt: skip
LANGUAGES = (
    ("en", 68), ("zh", 6), ("fr", 3), ("de", 3), ("es", 3), ("ja", 3), ("ko", 3), ("pt", 2), ("it", 2), ("ru", 2),
    ("ar", 2), ("hi", 1), ("vi", 1), ("tr", 1), ("multilingual", 2), ("code", 1),
)  # fmt: skip
DATASETS = (
    "sample-data/ultrachat-mini", "sample-data/orca-pairs", "sample-data/alpaca-clean", "sample-data/gsm-steps",
    "sample-data/code-traces", "sample-data/medical-notes", "sample-data/legal-briefs", "sample-data/stories",
    "sample-data/reviews", "sample-data/emotion", "sample-data/news-qa", "sample-data/common-speech", "imagefolder",
    "squad_v2", "generator", "sample-data/wikitext-garden", "sample-data/preference-pairs",
    "sample-data/reasoning-long", "sample-data/roleplay", "sample-data/plants-10",
)  # fmt: skip
TASKS = (
    "text-generation", "text-classification", "token-classification", "question-answering", "summarization",
    "translation", "fill-mask", "feature-extraction", "sentence-similarity", "image-classification", "text-to-image",
    "object-detection", "automatic-speech-recognition", "text-to-speech", "reinforcement-learning",
    "image-text-to-text", "image-to-text", "zero-shot-classification",
)  # fmt: skip
