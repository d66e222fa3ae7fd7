"""The merge methods of mergekit 0.1.5 as data: what each asks for. Facts about a program, found by asking it.

``python -m bench.merging --mergekit`` compares this table with the program where that is installed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MERGEKIT = "0.1.5"

NUMBER, INTEGER, FLAG = "a number", "a whole number", "true or false"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. ``each``: "" for one value in all, "model" for one per model, "other" for each model but the base.

    ``low`` to ``high`` is the range in which it makes sense, ends included unless ``open_low``.
    """

    kind: str = NUMBER
    each: str = ""
    required: bool = False
    default: float | bool | None = None
    low: float | None = None
    high: float | None = None
    open_low: bool = False


@dataclass(frozen=True, slots=True)
class MergeMethod:
    """``base``: "required", "optional" or "ignored". Inputs are counted with the base, others without it."""

    base: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    inputs: tuple[int, int | None] = (1, None)
    others: tuple[int, int | None] = (0, None)


_WEIGHT = Parameter(each="other", required=True)
_DENSITY = Parameter(each="other", default=1.0, low=0.0, high=1.0, open_low=True)


def _vectors(*, normalize: bool, rescale: bool, **more: Parameter) -> MergeMethod:
    """A method on task vectors: what task arithmetic and all that came from it have in common."""
    return MergeMethod(
        "required",
        {
            "int8_mask": Parameter(FLAG, default=False),
            "normalize": Parameter(FLAG, default=normalize),
            "rescale": Parameter(FLAG, default=rescale),
            "lambda": Parameter(default=1.0, low=0.0, high=None, open_low=True),
            "weight": _WEIGHT,
            "density": _DENSITY,
            **more,
        },
    )


_GAMMA = Parameter(each="other", default=0.01, low=0.0, high=1.0)
_EPSILON = Parameter(each="other", default=0.15, low=0.0, high=1.0)
_T = Parameter(required=True, low=0.0, high=1.0)

METHODS: dict[str, MergeMethod] = {
    "linear": MergeMethod(
        "ignored",
        {"weight": Parameter(each="model", required=True), "normalize": Parameter(FLAG, default=True)},
    ),
    "slerp": MergeMethod("required", {"t": _T}, inputs=(2, 2)),
    "task_arithmetic": _vectors(normalize=False, rescale=False),
    "ties": _vectors(normalize=True, rescale=False),
    "dare_linear": _vectors(normalize=False, rescale=True),
    "dare_ties": _vectors(normalize=False, rescale=True),
    "della": _vectors(normalize=True, rescale=True, epsilon=_EPSILON),
    "della_linear": _vectors(normalize=False, rescale=True, epsilon=_EPSILON),
    "breadcrumbs": _vectors(normalize=False, rescale=False, gamma=_GAMMA),
    "breadcrumbs_ties": _vectors(normalize=False, rescale=False, gamma=_GAMMA),
    "nuslerp": MergeMethod(
        "optional",
        {
            "weight": _WEIGHT,
            "nuslerp_row_wise": Parameter(FLAG, default=False),
            "nuslerp_flatten": Parameter(FLAG, default=True),
        },
        others=(2, 2),
    ),
    "multislerp": MergeMethod(
        "optional",
        {
            "weight": _WEIGHT,
            "normalize_weights": Parameter(FLAG, default=True),
            "eps": Parameter(default=1e-8, low=0.0),
        },
        others=(1, None),
    ),
    "karcher": MergeMethod(
        "ignored", {"max_iter": Parameter(INTEGER, default=10, low=1), "tol": Parameter(default=1e-5, low=0.0)}
    ),
    "model_stock": MergeMethod("required", {"filter_wise": Parameter(FLAG, default=False)}, inputs=(3, None)),
    "nearswap": MergeMethod("required", {"t": Parameter(required=True, low=0.0)}, inputs=(2, 2)),
    "arcee_fusion": MergeMethod("required", inputs=(2, 2)),
    "sce": MergeMethod(
        "required",
        {
            "int8_mask": Parameter(FLAG, default=False),
            "select_topk": Parameter(default=1.0, low=0.0, high=1.0, open_low=True),
        },
    ),
    "ram": MergeMethod("required", {"epsilon": Parameter(default=1e-5, low=0.0)}),
    "ramplus_tl": MergeMethod(
        "required",
        {
            "r": Parameter(default=0.1, low=0.0),
            "alpha": Parameter(default=0.2, low=0.0),
            "epsilon": Parameter(default=1e-5, low=0.0),
        },
    ),
    "passthrough": MergeMethod("ignored", {"scale": Parameter(each="model")}, inputs=(1, 1)),
}

TRIMMING = frozenset(
    {"ties", "dare_linear", "dare_ties", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties"}
)  # methods whose point is a density below one
VECTORS = TRIMMING | {"task_arithmetic"}
FROM_BASE = VECTORS | {"sce", "model_stock", "ram", "ramplus_tl"}  # whose base is where all differences are taken from

TOP_KEYS = frozenset(
    {
        "models", "slices", "modules", "merge_method", "base_model", "dtype", "out_dtype", "tokenizer_source",
        "tokenizer", "chat_template", "parameters",
    }
)  # fmt: skip
DTYPES = frozenset({"bfloat16", "float16", "float32", "float64"})
TEMPLATES = frozenset({"auto", "alpaca", "chatml", "exaone", "llama3", "mistral"})
