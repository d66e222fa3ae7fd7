"""What makes real rows long, beside names and numbers: evaluation results, widgets, chat templates, the Hub's own tags.

Lengths and shares follow 4,167 real rows: ``model-index`` on 27% of the rows with a card (5th, 50th, 95th and 99th
percentile: 51, 2,649, 4,663 and 13,885 characters), ``widget`` on 4% (276 characters), fourteen tags at the median. All
are drawn from pools made once, since making a thousand of them for each page would cost more than sending them.
"""

from __future__ import annotations

from typing import Any

POOL = 61  # a prime, so that it shares no rhythm with the other draws

_TASKS = (
    ("IFEval (0-Shot)", "HuggingFaceH4/ifeval", "inst_level_strict_acc and prompt_level_strict_acc", "strict accuracy"),
    ("BBH (3-Shot)", "BBH", "acc_norm", "normalized accuracy"),
    ("MATH Lvl 5 (4-Shot)", "hendrycks/competition_math", "exact_match", "exact match"),
    ("GPQA (0-shot)", "Idavidrein/gpqa", "acc_norm", "acc_norm"),
    ("MuSR (0-shot)", "TAUR-Lab/MuSR", "acc_norm", "acc_norm"),
    ("MMLU-PRO (5-shot)", "TIGER-Lab/MMLU-Pro", "acc", "accuracy"),
)
_ROLES = "{{ '<|start|>' + message['role'] + '\\n' + message['content'] | trim + '<|end|>\\n' }}"
_PLAIN = (
    f"{{% for message in messages %}}{_ROLES}{{% endfor %}}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
_TOOLS = (
    "{%- if tools %}{{- 'You may call these functions:\\n' }}"
    "{%- for tool in tools %}{{- tool | tojson(indent=4) + '\\n\\n' }}{%- endfor %}{%- endif %}"
    "{%- if message.tool_calls is defined %}{%- for call in message.tool_calls %}"
    "{{- '{\"name\": \"' + call.function.name + '\", \"arguments\": ' + call.function.arguments | tojson + '}' }}"
    "{%- endfor %}{%- elif message.role == 'tool' %}{{- '<|start|>tool\\n' + message.content + '<|end|>' }}{%- endif %}"
)
TEMPLATES = (_PLAIN, _PLAIN + _TOOLS, _PLAIN + _TOOLS * 2, _PLAIN + _TOOLS * 5)
"""Chat templates: from the plain one to one with several kinds of tool calls."""

CHATTY = ("text-generation-inference", "endpoints_compatible", "conversational")
SERVED = ("endpoints_compatible",)


def _result(number: int, task: int) -> dict[str, Any]:
    name, dataset, metric, said = _TASKS[task % len(_TASKS)]
    return {
        "task": {"type": "text-generation", "name": "Text Generation"},
        "dataset": {
            "name": name,
            "type": dataset,
            "config": "main",
            "split": "test",
            "args": {"num_few_shot": task % 6},
        },
        "metrics": [
            {
                "type": metric,
                "value": round(3 + (number * 37 + task * 11) % 8900 / 100, 2),
                "name": said,
                "verified": False,
            }
        ],
        "source": {"url": "https://example.org/leaderboard?query=models", "name": "A leaderboard of open models"},
    }


def _results(number: int) -> int:
    """How many results the entry of that number in the pool has."""
    place = number / POOL
    return 0 if place < 0.08 else 6 if place < 0.93 else 11 if place < 0.98 else 33


INDEXES = tuple([_result(number, task) for task in range(_results(number))] for number in range(POOL))
"""The ``results`` of a ``model-index``."""

WIDGETS = tuple(
    [
        {"text": f"Sentence {number}.{line} of an example that somebody might try.", "example_title": f"Example {line}"}
        for line in range(3)
    ]
    for number in range(POOL)
)


def model_index(name: str, variation: int) -> list[dict[str, Any]] | None:
    """The evaluation results of a card; None for the 73% that have none."""
    if variation % 100 >= 27:
        return None
    return [{"name": name, "results": INDEXES[variation // 100 % POOL]}]


def widget(variation: int) -> list[dict[str, Any]] | None:
    """The examples of a card's widget; None for the 96% that have none."""
    return WIDGETS[variation % POOL] if variation % 27 == 0 else None


def tokenizer_config(variation: int, *, chats: bool) -> dict[str, Any]:
    """The Hub's extract of ``tokenizer_config.json``: special tokens and, for chat models, the template."""
    found: dict[str, Any] = {
        "bos_token": "<|begin|>",
        "eos_token": "<|end|>",
        "pad_token": "<|end|>" if variation % 3 else None,
        "unk_token": None,
        "use_default_system_prompt": False,
    }
    if chats:
        found["chat_template"] = TEMPLATES[variation % len(TEMPLATES)]
    return found
