"""Forests in memory: true to their edges, whatever their architecture."""

from __future__ import annotations

import pytest
import torch

from samplehub.zoo.forest import Forest, Kind, grow_forest

SMALL = {"roots": 2, "generations": (2, 1), "adapters": 1, "casts": 1, "int8": 1, "merges": 1, "copies": 1,
         "steps": 4, "root_steps": 6}  # fmt: skip


@pytest.fixture(scope="module", params=["vit", "conv", "decoder"])
def forest(request: pytest.FixtureRequest) -> Forest:
    return grow_forest(5, request.param, **SMALL)


def change(forest: Forest, name: str, other: str) -> float:
    first, second = forest.members[name].tensors, forest.members[other].tensors
    return sum(float((first[n].float() - second[n].float()).square().sum()) for n in second if n in first)


def test_fine_tunes_lie_nearer_to_their_own_root_than_to_the_other(forest: Forest):
    roots = [m.name for m in forest.members.values() if m.relation == "root"]
    assert len(roots) == 2
    tuned = [m for m in forest.members.values() if m.relation == "finetune"]
    assert len(tuned) == 6
    for member in tuned:
        (other,) = set(roots) - {member.root}
        assert 0 < change(forest, member.name, member.root) < change(forest, member.name, other)


def test_edges_name_parents_that_came_before(forest: Forest):
    order = list(forest.members)
    assert len(forest.edges) == 2 * (3 + 1 + 1 + 1 + 1) + 2 * 2
    for edge in forest.edges:
        assert order.index(edge.parent) < order.index(edge.child)
        assert forest.members[edge.parent].root == forest.members[edge.child].root
    for parent, child in forest.false_edges(0, 20):
        assert forest.members[parent].root != forest.members[child].root


def test_adapters_copies_and_int8_hold_what_their_relation_says(forest: Forest):
    for member in forest.members.values():
        parent = forest.members[member.parents[0]] if member.parents else None
        if member.relation == "copy":
            assert all(torch.equal(member.tensors[n], tensor) for n, tensor in parent.tensors.items())
        elif member.relation == "adapter":
            assert all(name.startswith("base_model.model.") for name in member.tensors)
            assert any(tensor.abs().max() > 0 for n, tensor in member.tensors.items() if "lora_B" in n)
            assert member.adapter["base_model_name_or_path"] == parent.name
        elif "int8" in member.name:
            for name, tensor in member.tensors.items():
                if tensor.dtype == torch.int8:
                    back = tensor.float() * (member.tensors[name.replace(".weight", ".SCB")] / 127)[:, None]
                    assert (back - parent.tensors[name]).abs().max() <= parent.tensors[name].abs().max() / 250
        assert all(len(array.shape) == member.tensors[n].dim() for n, array in member.arrays().items())


@pytest.mark.parametrize("kind", ["conv"])
def test_the_same_seed_grows_the_same_forest(kind: Kind):
    first, second, other = (grow_forest(seed, kind, **SMALL) for seed in (7, 7, 8))
    assert list(first.members) == list(second.members)
    for name, member in first.members.items():
        assert all(torch.equal(tensor, second.members[name].tensors[n]) for n, tensor in member.tensors.items())
    root = next(iter(first.members.values()))
    assert any(not torch.equal(tensor, other.members[root.name].tensors[n]) for n, tensor in root.tensors.items())
